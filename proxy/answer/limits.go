package answer

import "regexp"

// durationText is the engine's messages on duration expressions, whole: they begin
// with their position, and so does the address of a store.
var durationText = regexp.MustCompile(`^\d{1,9}:\d{1,9}: (duration is NaN or infinite|duration must be greater than 0|duration is out of range|division by zero|modulo by zero)$`)

// A limit recognizes an upstream's text that says which of its limits a query hit.
// The sentence for the caller takes over numbers and durations only: behind them, and
// before them, the text may name stores and label sets.
type limit struct {
	text     *regexp.Regexp
	sentence string
	param    string // the parameter that the limit may have come by, if the text names no number
}

// A SentLimit is a limit that went to the upstream as a parameter of the query.
type SentLimit struct {
	Param, Value string
	Setting      string // of the section limits that gave it; empty = the caller did
}

// String says it as the caller or the operator wrote it.
func (l SentLimit) String() string {
	if l.Setting != "" {
		return "limits." + l.Setting + " is " + l.Value
	}
	return l.Param + " is " + l.Value
}

const (
	number   = `([0-9]+(?:[.,_][0-9]+)*)`
	duration = `((?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h|d|w|y))+)`
	narrow   = ": narrow it or shorten its range"
	busy     = ": try again later"
)

func limitText(text, sentence string) limit {
	return limit{text: regexp.MustCompile(text), sentence: sentence}
}

// costText is limitText of a limit that a parameter may have named.
func costText(text, sentence, param string) limit {
	return limit{regexp.MustCompile(text), sentence, param}
}

// limits are looked through in this order: the general ones come last.
var limits = []limit{
	// Thanos, and the store gateways of Cortex and Mimir.
	limitText(`exceeded series limit: .{0,200}?limit `+number+` violated \(got `+number+`\)`, "the query selects more series than the upstream allows (limit $1, got $2)"+narrow),
	limitText(`exceeded chunks limit: .{0,200}?limit `+number+` violated \(got `+number+`\)`, "the query reads more chunks than the upstream allows (limit $1, got $2)"+narrow),
	limitText(`exceeded samples limit: .{0,200}?limit `+number+` violated \(got `+number+`\)`, "the query reads more samples than the upstream allows (limit $1, got $2)"+narrow),
	limitText(`exceeded bytes limit .{0,200}?limit `+number+` violated \(got `+number+`\)`, "the query reads more bytes than the upstream allows (limit $1, got $2)"+narrow),
	limitText(`failed to send series: limit `+number+` violated \(got `+number+`\)`, "the query selects more series than the upstream allows (limit $1, got $2)"+narrow),
	limitText(`failed to send samples: limit `+number+` violated \(got `+number+`\)`, "the query reads more samples than the upstream allows (limit $1, got $2)"+narrow),
	limitText(`limit `+number+` violated \(got `+number+`\)`, "the query exceeds a limit of the upstream (limit $1, got $2)"+narrow),

	// Thanos's query frontend, Cortex and Mimir.
	limitText(`query time range exceeds the limit \(query length: `+duration+`, limit: `+duration+`\)`, "the query's time range of $1 is longer than the upstream allows (limit $2): shorten it"),
	limitText(`length > limit \(`+duration+` > `+duration+`\)`, "the query's time range of $1 is longer than the upstream allows (limit $2): shorten it"),
	limitText(`max(?:imum)? number of series(?: limit)? .{0,500}?\(limit: `+number, "the query selects more series than the upstream allows (limit $1)"+narrow),
	limitText(`max(?:imum)? number of chunks(?: limit)? .{0,500}?\(limit: `+number, "the query reads more chunks than the upstream allows (limit $1)"+narrow),
	limitText(`estimated .{0,100}chunks.{0,100}\(limit: `+number, "the query would read more chunks than the upstream allows (limit $1)"+narrow),
	limitText(`aggregated chunks size limit .{0,500}?\(limit: `+number+` bytes\)`, "the query reads more bytes of chunks than the upstream allows (limit $1 bytes)"+narrow),
	limitText(`estimated amount of memory consumed by a single query \(limit: `+number+` bytes\)`, "the query takes more memory than the upstream allows (limit $1 bytes)"+narrow),
	limitText(`raw query size in bytes exceeds the limit \(query size: `+number+`, limit: `+number+`\)`, "the query of $1 bytes is longer than the upstream allows (limit $2): shorten it"),
	limitText(`exceeded the request rate limit, set to `+number+` requests/s with a maximum allowed burst of `+number, "the upstream's limit on requests, $1 a second with bursts of $2, is reached"+busy),
	limitText(`err-mimir-(?:max|tenant-max)-.{0,500}?limit: `+number, "the query exceeds a limit of the upstream (limit $1)"+narrow),
	limitText(`\(limit: `+number+`(?: [a-z]+)?\) \(err-mimir-`, "the query exceeds a limit of the upstream (limit $1)"+narrow),
	limitText(`err-mimir-(?:max|tenant-max)-`, "the query exceeds a limit of the upstream"+narrow),
	limitText(`too many outstanding requests`, "the upstream's limit on requests that wait is reached"+busy),

	// VictoriaMetrics.
	limitText(`cannot select more than -search\.maxSamplesPerQuery=`+number, "the query reads more samples than the upstream allows (limit -search.maxSamplesPerQuery=$1)"+narrow),
	limitText(`number of (?:matching )?(?:unique )?timeseries exceeds `+number, "the query selects more series than the upstream allows (limit $1)"+narrow),
	limitText(`too many points for the given .{0,200}?: `+number+`; cannot exceed -search\.(maxPoints\w{1,30})=`+number, "the query has $1 points for each series, more than the upstream allows (limit -search.$2=$3): make its step longer or its range shorter"),
	limitText(`too many points for the given .{0,200}?: `+number+`; the maximum number of points is `+number, "the query has $1 points for each series, more than the upstream allows (limit $2): make its step longer or its range shorter"),
	limitText(`couldn't start executing the request in `+number+` seconds, since -search\.maxConcurrentRequests=`+number, "the upstream did not begin with the query within $1 seconds: its limit on concurrent queries (-search.maxConcurrentRequests=$2) is reached"+busy),
	limitText(`too long query; got `+number+` bytes; mustn't exceed .{0,3}-search\.maxQueryLen=`+number, "the query of $1 bytes is longer than the upstream allows (limit -search.maxQueryLen=$2): shorten it"),
	limitText(`-search\.(max[A-Za-z]{1,40})=`+duration, "the query exceeds a limit of the upstream (limit -search.$1=$2)"+narrow),
	limitText(`-search\.(max[A-Za-z]{1,40})=`+number, "the query exceeds a limit of the upstream (limit -search.$1=$2)"+narrow),
	limitText(`-search\.(max[A-Za-z]{1,40})`, "the query exceeds a limit of the upstream (limit -search.$1)"+narrow),

	// Prometheus.
	costText(`^query would load too many series into memory in `, "the query selects more series than the upstream's limit allows", "max_series"),
	costText(`^query would read too many samples in `, "the query reads more samples than the upstream's limit allows", "max_samples_read"),
	costText(`^(?:cost estimation exceeded the query duration limit|query cost duration exceeded)`, "the query took longer than the upstream's limit allows", "max_query_duration"),
	limitText(`requested (max_[a-z_]{1,30}) of (?:`+duration+`|`+number+`) exceeds the server limit of (?:`+duration+`|`+number+`)`, "the parameter $1 of $2$3 is above the upstream's limit of $4$5"),
	limitText(`exceeded sample limit \(`+number+`\)`, "the query reads more samples than the upstream allows (limit $1)"+narrow),
	limitText(`(?i)too many concurrent (?:queries|requests)|max(?:imum)? (?:number of )?concurrent queries`, "the upstream's limit on concurrent queries is reached"+busy),
}

// limitSentence says which limit of the upstream a query hit, or nothing. The setting is
// promfence's that gave the limit, if one did.
func limitSentence(text string, sent []SentLimit) (sentence, setting string) {
	for _, l := range limits {
		m := l.text.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		sentence = string(l.text.ExpandString(nil, l.sentence, text, m))
		if l.param == "" {
			return sentence, ""
		}
		for _, s := range sent {
			if s.Param == l.param {
				sentence, setting = sentence+" ("+s.String()+")", s.Setting
			}
		}
		return sentence + narrow, setting
	}
	return "", ""
}

// aboveCeiling is what Prometheus says of a limit above its own. It takes none of these.
var aboveCeiling = regexp.MustCompile(`^requested (max_[a-z_]{1,30}) of [^ ]{1,64} exceeds the server limit of ([0-9a-zµ.]{1,64})$`)

// settingAbove says that a setting of promfence's is above the upstream's own limit, or
// nothing. The caller has sent nothing of the kind, and can do nothing about it.
func settingAbove(text string, sent []SentLimit) string {
	m := aboveCeiling.FindStringSubmatch(text)
	for _, s := range sent {
		if m != nil && s.Setting != "" && s.Param == m[1] {
			return s.String() + ", which is above the upstream's own limit of " + m[2] + ": the operator of promfence has to lower it"
		}
	}
	return ""
}
