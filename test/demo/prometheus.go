package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// A server is Prometheus's query engine over the demo's series, behind as much of
// its HTTP API as the demo and a curious reader ask for. All of Prometheus would be
// twice as much to compile.
type server struct {
	engine  *promql.Engine
	parser  parser.Parser
	history history
	front   *httptest.Server

	mu    sync.Mutex
	asked []string // queries, as they came
}

func startPrometheus() *server {
	p := parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableExtendedRangeSelectors: true})
	s := &server{parser: p, history: history{born: time.Now().Add(-backfill).Truncate(interval)}}
	s.engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: p,
		EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
	mux := http.NewServeMux()
	for path, answer := range map[string]func(url.Values) (any, error){
		"query": s.query, "query_range": s.queryRange, "series": s.series, "labels": s.labels,
		"query_exemplars":  func(url.Values) (any, error) { return []any{}, nil },
		"metadata":         func(url.Values) (any, error) { return map[string]any{}, nil },
		"rules":            func(url.Values) (any, error) { return map[string]any{"groups": []any{}}, nil },
		"alerts":           func(url.Values) (any, error) { return map[string]any{"alerts": []any{}}, nil },
		"status/buildinfo": func(url.Values) (any, error) { return map[string]any{"version": "demo"}, nil },
	} {
		mux.HandleFunc("/api/v1/"+path, func(w http.ResponseWriter, r *http.Request) { respond(w, r, answer) })
	}
	mux.HandleFunc("/api/v1/label/{name}/values", func(w http.ResponseWriter, r *http.Request) {
		respond(w, r, func(v url.Values) (any, error) { return s.values(r.PathValue("name"), v) })
	})
	s.front = httptest.NewServer(mux)
	return s
}

func (s *server) stop() { s.front.Close() }

// take returns the queries that came so far, and forgets them.
func (s *server) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// respond writes data or an error as Prometheus does.
func respond(w http.ResponseWriter, r *http.Request, answer func(url.Values) (any, error)) {
	status, body := http.StatusOK, map[string]any{"status": "success"}
	err := r.ParseForm()
	if err == nil {
		body["data"], err = answer(r.Form)
	}
	if err != nil {
		status, body = http.StatusBadRequest, map[string]any{"status": "error", "errorType": "bad_data", "error": err.Error()}
		if _, ok := errors.AsType[executionError](err); ok {
			status, body["errorType"] = http.StatusUnprocessableEntity, "execution"
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

type executionError struct{ error }

func (s *server) query(v url.Values) (any, error) {
	at, err := moment(v.Get("time"), time.Now())
	if err != nil {
		return nil, err
	}
	q, err := s.engine.NewInstantQuery(background, s.history, nil, s.note(v), at)
	return s.run(q, err)
}

func (s *server) queryRange(v url.Values) (any, error) {
	start, err1 := moment(v.Get("start"), time.Time{})
	end, err2 := moment(v.Get("end"), time.Time{})
	step, err3 := duration(v.Get("step"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	q, err := s.engine.NewRangeQuery(background, s.history, nil, s.note(v), start, end, step)
	return s.run(q, err)
}

func (s *server) note(v url.Values) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, v.Get("query"))
	return v.Get("query")
}

func (s *server) run(q promql.Query, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	defer q.Close()
	r := q.Exec(background)
	if r.Err != nil {
		return nil, executionError{r.Err}
	}
	return map[string]any{"resultType": r.Value.Type(), "result": spelled(r.Value)}, nil
}

// spelled is a result as the API has it.
func spelled(v parser.Value) any {
	point := func(t int64, f float64) [2]any {
		return [2]any{float64(t) / 1e3, strconv.FormatFloat(f, 'f', -1, 64)}
	}
	all := []map[string]any{}
	switch v := v.(type) {
	case promql.Vector:
		for _, s := range v {
			all = append(all, map[string]any{"metric": s.Metric, "value": point(s.T, s.F)})
		}
	case promql.Matrix:
		for _, s := range v {
			values := make([][2]any, len(s.Floats))
			for i, p := range s.Floats {
				values[i] = point(p.T, p.F)
			}
			all = append(all, map[string]any{"metric": s.Metric, "values": values})
		}
	case promql.Scalar:
		return point(v.T, v.V)
	case promql.String:
		return [2]any{float64(v.T) / 1e3, v.V}
	}
	return all
}

// selected are the label sets that any of the selectors in match[] selects; all of
// them without a selector.
func (s *server) selected(v url.Values) ([]labels.Labels, error) {
	if len(v["match[]"]) == 0 {
		return s.history.names(), nil
	}
	var found []labels.Labels
	for _, selector := range v["match[]"] {
		ms, err := s.parser.ParseMetricSelector(selector)
		if err != nil {
			return nil, err
		}
		for _, ls := range s.history.names() {
			if matches(ls, ms) {
				found = append(found, ls)
			}
		}
	}
	return found, nil
}

func (s *server) series(v url.Values) (any, error) {
	found, err := s.selected(v)
	return append([]labels.Labels{}, found...), err
}

func (s *server) labels(v url.Values) (any, error) {
	found, err := s.selected(v)
	return namesOf(found), err
}

func (s *server) values(name string, v url.Values) (any, error) {
	found, err := s.selected(v)
	return valuesOf(found, name), err
}

func moment(text string, otherwise time.Time) (time.Time, error) {
	if text == "" && !otherwise.IsZero() {
		return otherwise, nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.UnixMilli(int64(seconds * 1e3)), nil
	}
	return time.Parse(time.RFC3339Nano, text)
}

func duration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}
