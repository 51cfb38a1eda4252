package proxy

import (
	"cmp"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/scope"
)

// The two bases that every route is served at: Prometheus's own, and the one of
// the product's frontend.
const (
	apiBase     = "/api/v1"
	metricsBase = "/api/v1/metrics"

	// aliasBase is what clients of Prometheus's own paths make of a datasource's URL
	// that ends in metricsBase.
	aliasBase = metricsBase + apiBase

	// Alertmanager's API, as callers and as Alertmanager spell its base.
	alertingBase = "/alertmanager/api/v2"
	alertingAPI  = "/api/v2"
)

// A Route is everything that promfence knows of one endpoint: request side and
// answer side in one row, so that they cannot drift apart.
type Route struct {
	Path    string   // below the base; {name} stands for one label name, {id} for a silence
	Base    string   // the only base it is served at; empty for both
	Methods []string // everything else is a 405
	Params  []string // those that are read; the others are dropped
	Guard   Guard    // why no answer holds somebody else's data; without one the route serves nothing
	Streams bool     // a filtered answer leaves line by line, and its lines may have warnings
	Warns   bool     // its answer may have a warning of promfence's own
	Metered bool     // its answer may tell what the query read
	Formats bool     // the answer is no JSON: it comes as the caller's Accept or body asks
	Answer  answerer // answers in the upstream's place
	Asks    string   // the path that the upstream is asked at, if it is not Path

	full     string // the row's path as clients know it: log field and metric label
	alias    string // another spelling of full that is the same row; empty = there is none
	static   bool   // its answer is the same for all, and may be kept
	upstream string // and as the upstream does: not below its API if the row has a Base of its own
}

var (
	get     = []string{http.MethodGet}
	post    = []string{http.MethodPost}
	getPost = []string{http.MethodGet, http.MethodPost}

	// thanos are the parameters that Thanos adds to every query endpoint. Its
	// storeMatch[] and analyze are left out: they tell store addresses.
	thanos = []string{"dedup", "partial_response", "max_source_resolution", "replicaLabels[]", "engine", "shard_info"}

	instantPlan = slices.Concat([]string{"query", "time", "timeout", "lookback_delta"}, thanos)
	rangePlan   = slices.Concat([]string{"query", "start", "end", "step", "timeout", "lookback_delta"}, thanos)
	// priced are those of an upstream that bounds and tells what a query costs.
	priced   = []string{"limit", "stats", "cost", "max_series", "max_samples_read", "max_query_duration"}
	instant  = slices.Concat(instantPlan, priced)
	ranged   = slices.Concat(rangePlan, priced)
	selected = []string{"match[]", "start", "end", "limit", "partial_response"}
	merged   = slices.Concat(selected, []string{"dedup", "replicaLabels[]"})

	// searched are those of the search API. include_metadata, which adds the HELP
	// texts of everybody's targets, is never forwarded.
	searched = []string{
		"match[]", "search[]", "start", "end", "limit", "batch_size", "fuzz_threshold", "fuzz_alg",
		"case_sensitive", "include_score", "sort_by", "sort_dir",
	}
	alerted  = []string{"filter", "receiver", "active", "silenced", "inhibited"}
	silenced = []string{"filter", "active", "expired", "pending"}
	ruled    = []string{
		"type", "rule_name[]", "rule_group[]", "file[]", "match[]", "exclude_alerts", "group_limit", "group_next_token",
	}
)

// maxFormatTerms bounds a query that the upstream is asked to format: its
// formatter takes seconds for a sum of a thousand terms.
const maxFormatTerms = 300

// Routes is everything that reaches the upstream. A path that is not here is a
// 404, so a forgotten row loses a feature and never leaks a tenant.
var Routes = []Route{
	{Path: "/query", Methods: getPost, Params: instant, Guard: narrowed(scope.Expression()), Warns: true, Metered: true},
	{Path: "/query_range", Methods: getPost, Params: ranged, Guard: narrowed(scope.Expression()), Warns: true, Metered: true},
	{Path: "/query_exemplars", Methods: getPost, Params: []string{"query", "start", "end", "partial_response"}, Guard: both(scope.Expression(), filter.View.Exemplars, nil)},
	{Path: "/series", Methods: getPost, Params: merged, Guard: narrowed(scope.Selectors())},
	{Path: "/labels", Methods: getPost, Params: selected, Guard: narrowed(scope.Selectors().Added())},
	{Path: "/label/{name}/values", Methods: get, Params: selected, Guard: narrowed(scope.Selectors().Added())},
	{Path: "/query_explain", Methods: getPost, Params: instantPlan, Guard: narrowed(scope.Expression())},
	{Path: "/query_range_explain", Methods: getPost, Params: rangePlan, Guard: narrowed(scope.Expression())},
	{Path: "/query_cost", Methods: getPost, Params: instant, Guard: narrowed(scope.Expression())},
	{Path: "/query_range_cost", Methods: getPost, Params: ranged, Guard: narrowed(scope.Expression())},
	{Path: "/search/metric_names", Methods: getPost, Params: append([]string{"include_metadata"}, searched...), Guard: both(scope.Selectors().Added(), filter.View.MetricNames, filter.View.CheckSearch, "include_metadata"), Streams: true},
	{Path: "/search/label_names", Methods: getPost, Params: searched, Guard: narrowed(scope.Selectors().Added())},
	{Path: "/search/label_values", Methods: getPost, Params: append([]string{"label"}, searched...), Guard: narrowed(scope.Selectors().Added())},
	{Path: "/rules", Methods: get, Params: ruled, Guard: filtered(filter.View.Rules, filter.View.CheckRules, "exclude_alerts", "group_limit", "group_next_token")},
	{Path: "/alerts", Methods: get, Guard: filtered(filter.View.Alerts, nil)},
	{Path: "/metadata", Methods: get, Params: []string{"metric", "limit", "limit_per_metric"}, Guard: filtered(filter.View.Metadata, filter.View.CheckMetadata, "limit", "limit_per_metric")},
	{Path: "/targets", Methods: get, Params: []string{"state", "scrapePool"}, Guard: filtered(filter.View.Targets, nil)},
	{Path: "/targets/metadata", Methods: get, Params: []string{"match_target", "metric", "limit"}, Guard: both(scope.TargetSelector(), filter.View.TargetsMetadata, filter.View.CheckMetadata, "limit")},
	{Path: "/read", Methods: post, Guard: narrowed(scope.RemoteRead()), Formats: true},
	{Path: "/format_query", Methods: getPost, Params: []string{"query"}, Guard: holdsNoTenantData(scope.Parsed(maxFormatTerms))},
	{Path: "/parse_query", Methods: getPost, Params: []string{"query"}, Guard: holdsNoTenantData(scope.Parsed(0))},
	{Path: "/status/buildinfo", Methods: get, Guard: holdsNoTenantData(scope.NoParameters())},
	{Path: "/explain", Base: metricsBase, Methods: getPost, Params: []string{"query"}, Guard: narrowed(scope.Expression()), Answer: explain},
	{Path: "/federate", Base: "/", Methods: get, Params: []string{"match[]"}, Guard: narrowed(scope.Selectors().Federated()), Formats: true},
	{Path: "/federate", Base: metricsBase, Methods: get, Params: []string{"match[]"}, Guard: narrowed(scope.Selectors().Federated()), Formats: true},

	{Path: "/alerts", Base: alertingBase, Methods: get, Params: append([]string{"unprocessed"}, alerted...), Guard: chosen(scope.AlertFilters(), filter.View.ActiveAlerts)},
	{Path: "/alerts/groups", Base: alertingBase, Methods: get, Params: append([]string{"muted"}, alerted...), Guard: chosen(scope.AlertFilters(), filter.View.AlertGroups)},
	{Path: "/silences", Base: alertingBase, Methods: get, Params: silenced, Guard: chosen(scope.SilenceFilters(), filter.View.Silences)},
	{Path: "/silences", Base: alertingBase, Methods: post, Guard: writes(scope.PostedSilence()), Answer: changeSilence},
	{Path: "/silence/{id}", Base: alertingBase, Methods: get, Guard: filtered(filter.View.Silence, nil)},
	{Path: "/silence/{id}", Base: alertingBase, Methods: []string{http.MethodDelete}, Guard: writes(scope.EndedSilence()), Answer: changeSilence},
	{Path: "/status", Base: alertingBase, Methods: get, Guard: filtered(filter.View.ServerStatus, nil)},
	{Path: "/receivers", Base: alertingBase, Methods: get, Guard: chosen(scope.AlertFilters(), filter.View.Receivers), Asks: "/alerts"},
}

// Endpoints yields the method and path of everything in the query API that needs a
// token. Alertmanager's rows, which are served if there is one, are not among it.
func Endpoints() iter.Seq2[string, string] {
	return func(yield func(method, path string) bool) {
		for _, row := range routeTable {
			if row.Alerting() {
				continue
			}
			for _, method := range row.Methods {
				if !yield(method, row.full) {
					return
				}
			}
		}
	}
}

// Alerting reports whether the row is one of Alertmanager's.
func (r *Route) Alerting() bool { return r.Base == alertingBase }

// routeTable is Routes with every row at each of its bases.
var routeTable = expand(Routes)

func expand(rows []Route) []*Route {
	var all []*Route
	for _, row := range rows {
		bases := []string{apiBase, metricsBase}
		if row.Base != "" {
			bases = []string{strings.TrimSuffix(row.Base, "/")}
		}
		for _, base := range bases {
			at := row
			at.full, at.upstream = base+row.Path, apiBase+row.Path
			if base == apiBase {
				at.alias = aliasBase + row.Path
			}
			switch asked := cmp.Or(row.Asks, row.Path); {
			case at.Alerting():
				at.upstream = alertingAPI + asked
			case row.Base != "":
				at.upstream = asked
			}
			all = append(all, &at)
		}
	}
	return all
}

// wildcards stand for one segment of a path.
var wildcards = strings.NewReplacer("{name}", "\x00", "{id}", "\x00")

// upstreamPath is the row's path as the upstream spells it, escaped.
func (r *Route) upstreamPath(name string) string {
	if name == "" {
		return r.upstream
	}
	return strings.Replace(wildcards.Replace(r.upstream), "\x00", url.PathEscape(name), 1)
}
