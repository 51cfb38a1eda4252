// Prometheus 2.55, the last of its major version, an upstream of the tests: in a module
// file of its own, which names its version. It is built with the versions that its own
// go.mod names.
module github.com/promfence/promfence/test/prometheus255

go 1.26.0

require github.com/prometheus/prometheus v0.55.1
