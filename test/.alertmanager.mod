// Alertmanager and its client, programs of the tests: in a module file of their own,
// which names their version. They are built with the versions that theirs names.
module github.com/promfence/promfence/test/alertmanager

go 1.26.0

require github.com/prometheus/alertmanager v0.35.0
