package attack_test

import (
	"strings"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"
)

// The pieces of a prometheus.ReadRequest, made by hand.
func field(n protowire.Number, parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), all)
}

func number(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func group(n protowire.Number, parts ...[]byte) []byte {
	all := protowire.AppendTag(nil, n, protowire.StartGroupType)
	for _, p := range parts {
		all = append(all, p...)
	}
	return protowire.AppendTag(all, n, protowire.EndGroupType)
}

func matcher(kind uint64, name, value string) []byte {
	return field(3, number(1, kind), field(2, []byte(name)), field(3, []byte(value)))
}

const always = 1 << 50

var (
	whole   = join(number(1, 0), number(2, always))
	all     = matcher(2, "__name__", ".+")
	foreign = matcher(0, "tenant_id", "zqx01")
	ours    = matcher(0, "tenant_id", "acme")
)

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func read(parts ...[]byte) request { return readRaw(string(snappy.Encode(nil, join(parts...)))) }

func readRaw(body string, headers ...string) request {
	if headers == nil {
		headers = []string{"Content-Type: application/x-protobuf", "Content-Encoding: snappy", "X-Prometheus-Remote-Read-Version: 0.1.0"}
	}
	return with("POST", "/api/v1/read", body, headers...)
}

func reads() []family {
	one := func(parts ...[]byte) request { return read(field(1, append([][]byte{whole}, parts...)...)) }
	shop := matcher(0, "__name__", mine)
	plain := string(join(field(1, whole, all)))
	f := family{name: "remote read", controls: []attack{
		{name: "samples", request: one(shop), want: mine},
		{name: "samples of all", request: one(all), want: "shop_flag"},
		{name: "streamed", request: read(field(1, whole, shop), number(2, 1)), want: mine},
		{name: "the other base", request: request(strings.Replace(string(read(field(1, whole, shop), number(2, 1))), "/api/v1/", "/api/v1/metrics/", 1)), want: mine},
		{name: "all of acme's", request: read(field(1, whole, all), number(2, 1)), want: "shop_flag"},
	}, attacks: []attack{
		{name: "everything", request: one(all)},
		{name: "no matcher", request: one()},
		{name: "another tenant", request: one(all, foreign)},
		{name: "both tenants", request: one(all, ours, foreign)},
		{name: "not acme", request: one(all, matcher(1, "tenant_id", "acme"))},
		{name: "any tenant", request: one(all, matcher(2, "tenant_id", ".*"))},
		{name: "an empty tenant", request: one(all, matcher(0, "tenant_id", ""))},
		{name: "an unknown kind", request: one(all, matcher(4, "tenant_id", "acme")), status: []int{400}},
		{name: "a huge kind", request: one(all, matcher(1<<32, "tenant_id", "acme"))},
		{name: "a negative kind", request: one(all, matcher(1<<64-1, "tenant_id", "acme"))},
		{name: "a kind twice", request: one(all, field(3, number(1, 0), field(2, []byte("tenant_id")), field(3, []byte("acme")), number(1, 1)))},
		{name: "a name twice", request: one(field(3, number(1, 0), field(2, []byte("tenant_id")), field(3, []byte("acme")), field(2, []byte("a")), field(3, []byte(""))), all)},
		{name: "a value twice", request: one(field(3, number(1, 2), field(2, []byte("tenant_id")), field(3, []byte("acme")), field(3, []byte(".*"))), all)},
		{name: "unknown fields", request: read(field(1, whole, all, field(15, foreign), number(200, 7), protowire.AppendFixed64(protowire.AppendTag(nil, 300, protowire.Fixed64Type), 1)), field(9, all))},
		{name: "hints twice", request: one(all, field(4, field(2, []byte("series"))), field(4, field(5, []byte("tenant_id")), number(6, 1)))},
		{name: "a hint for series", request: one(all, field(4, field(2, []byte("series"))))},
		{name: "a group for a query", request: read(group(1, whole, all))},
		{name: "a group in a query", request: one(all, group(3, number(1, 0)))},
		{name: "unknown groups", request: read(group(9, group(10, field(1, all))), field(1, whole, all))},
		{name: "a group that ends another", request: read(protowire.AppendTag(nil, 9, protowire.StartGroupType), protowire.AppendTag(nil, 10, protowire.EndGroupType)), status: []int{400}},
		{name: "deep groups", request: read([]byte(strings.Repeat("\x4b", 1<<19) + strings.Repeat("\x4c", 1<<19)))},
		{name: "a query as a number", request: read(number(1, 5)), status: []int{400}},
		{name: "a matcher as a number", request: one(number(3, 5)), status: []int{400}},
		{name: "field zero", request: read([]byte{2, 0}, field(1, whole, all)), status: []int{400}},
		{name: "an overlong tag", request: read([]byte{0x8a, 0x80, 0x80, 0x80, 0x00}, protowire.AppendBytes(nil, join(whole, all)))},
		{name: "an overlong length", request: read([]byte{0x0a, byte(len(plain)-2) | 0x80, 0x80, 0x00}, []byte(plain[2:]))},
		{name: "a length beyond", request: read([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}), status: []int{400}},
		{name: "an endless number", request: read([]byte(strings.Repeat("\xff", 20))), status: []int{400}},
		{name: "packed encodings", request: read(field(1, whole, all), field(2, []byte{1, 0, 1, 9}))},
		{name: "unknown encodings", request: read(field(1, whole, all), number(2, 9)), status: []int{400}},
		{name: "many encodings", request: read(field(1, whole, all), []byte(strings.Repeat("\x10\x01", 100_000)))},
		{name: "many queries", request: read([]byte(strings.Repeat(string(field(1, whole, all)), 1000))), status: []int{400}},
		{name: "a hundred queries", request: read([]byte(strings.Repeat(string(field(1, whole, shop)), 100)))},
		{name: "many empty queries", request: read([]byte(strings.Repeat("\x0a\x00", 400_000))), status: []int{400}},
		{name: "many matchers", request: one([]byte(strings.Repeat(string(matcher(2, "a", "(b|c){9}")), 5000))), status: []int{400}},
		{name: "a costly regexp", request: one(matcher(2, "a", "((a{100}){100}){100}")), status: []int{400}},
		{name: "a broken regexp", request: one(matcher(2, "tenant_id", "acme|(")), status: []int{400}},
		{name: "a regexp that leaves its quotes", request: one(matcher(2, "tenant_id", "acme)|(?:.*")), status: []int{400, 200}},
		{name: "a name that is no UTF-8", request: one(matcher(0, "tenant_id\xff", "")), status: []int{400}},
		{name: "NUL in a name", request: one(all, matcher(0, "tenant_id\x00", ""))},
		{name: "no query", request: read()},
		{name: "times that overflow", request: read(field(1, number(1, 1<<63), number(2, 1<<63-1), all))},
		{name: "times reversed", request: read(field(1, number(1, 9), number(2, 1), all))},
		{name: "not compressed", request: readRaw(plain), status: []int{400}},
		{name: "compressed as a stream", request: readRaw("\xff\x06\x00\x00sNaPpY\x01\x08\x00\x00abcdefgh"), status: []int{400}},
		{name: "a snappy bomb", request: readRaw("\xff\xff\xff\xff\x0f\x00"), status: []int{413}},
		{name: "something after it", request: readRaw(string(snappy.Encode(nil, []byte(plain))) + "x"), status: []int{400}},
		{name: "empty", request: readRaw(""), status: []int{400}},
		{name: "too big", request: readRaw(strings.Repeat("a", 2<<20)), status: []int{413}},
		{name: "as a form", request: readRaw("query="+theirs, "Content-Type: application/x-www-form-urlencoded"), status: []int{415}},
		{name: "gzip", request: readRaw(plain, "Content-Type: application/x-protobuf", "Content-Encoding: gzip"), status: []int{415}},
		{name: "two encodings", request: readRaw(plain, "Content-Type: application/x-protobuf", "Content-Encoding: snappy", "Content-Encoding: gzip"), status: []int{415}},
		{name: "no encoding", request: readRaw(plain, "Content-Type: application/x-protobuf"), status: []int{415}},
		{name: "another message", request: readRaw(string(snappy.Encode(nil, []byte(plain))), "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request", "Content-Encoding: snappy")},
		{name: "parameters beside it", request: request(strings.Replace(string(one(all)), "/api/v1/read", "/api/v1/read?query="+theirs+"&match[]="+theirs, 1))},
		{name: "GET", request: get("/api/v1/read"), status: []int{405}},
	}}
	for i := range f.attacks {
		if r := string(f.attacks[i].request); strings.HasPrefix(r, "POST /api/v1/read ") {
			gz := f.attacks[i]
			gz.name = "gzip " + gz.name
			gz.request = request(strings.Replace(r, "Connection: close", "Accept-Encoding: gzip\r\nConnection: close", 1))
			f.attacks = append(f.attacks, gz)
		}
	}
	return []family{f}
}
