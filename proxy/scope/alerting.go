package scope

import (
	"net/http"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/silence"
)

// alertingLimits bound what one request may ask of Alertmanager.
var alertingLimits = silence.Limits{Matchers: 100, Bytes: 4 << 10}

// AlertFilters narrows the filter parameters of alerts. The answer is filtered as well.
func AlertFilters() Unnarrowed {
	return Unnarrowed{made: true, alerting: silence.Limits.Filters}
}

// SilenceFilters spells the filter parameters of silences afresh. They choose by the
// text of matchers, which says nothing about whose a silence is: a filter does.
func SilenceFilters() Unnarrowed {
	return Unnarrowed{made: true, alerting: func(limits silence.Limits, sent []string, _ policy.Labels) ([]string, error) {
		return limits.Respell(sent)
	}}
}

// alertingParams spells the parameters of Alertmanager afresh: filters, an expression
// that receivers are chosen by, and switches.
func alertingParams(sent Params, l policy.Labels, narrow func(silence.Limits, []string, policy.Labels) ([]string, error)) (Params, error) {
	var filters []string
	ps := make(Params, 0, len(sent)+1)
	for _, p := range sent {
		switch {
		case p.Name == "filter":
			filters = append(filters, p.Value)
			continue
		case p.Name == "receiver":
			if err := alertingLimits.CheckPattern(p.Value); err != nil {
				return nil, inParameter(p.Name, err)
			}
		case p.Value != "true" && p.Value != "false":
			return nil, apierr.BadData("invalid parameter %q: want true or false", p.Name)
		}
		ps = append(ps, p)
	}
	narrowed, err := narrow(alertingLimits, filters, l)
	if err != nil {
		return nil, err
	}
	for _, f := range narrowed {
		ps = append(ps, param{"filter", f})
	}
	return ps, nil
}

// A Writing rule is for rows that write or end a silence. The zero value refuses all.
type Writing struct{ posts, ends bool }

// PostedSilence narrows the body of a silence, which is one tenant's.
func PostedSilence() Writing { return Writing{posts: true} }

// EndedSilence is for the row that ends the silence in its path.
func EndedSilence() Writing { return Writing{ends: true} }

// ReadsSilence reports whether the rule narrows a silence's body.
func (w Writing) ReadsSilence() bool { return w.posts }

// Narrow makes a Request, or refuses. One that replaces or ends a silence must not be
// sent before that was seen: see [Request.Seen].
func (w Writing) Narrow(in Input) (Request, error) {
	switch {
	case in.Enforcer.Labels().IsZero() || w.posts == w.ends:
		return Request{}, apierr.Internal(errZero)
	case in.Silences.IsZero():
		return Request{}, apierr.New(http.StatusForbidden, "the token may read silences here, and not write them")
	case in.Author == "":
		return Request{}, apierr.New(http.StatusForbidden, "a silence needs an author: the token has no sub")
	case w.ends && !silence.ValidID(in.ID):
		return Request{}, silence.NotFound()
	case w.ends:
		return Request{labels: in.Silences, unseen: in.ID}, nil
	}
	limits := alertingLimits
	limits.Duration = in.Longest
	body, replaces, err := limits.Narrow(in.Body, in.Silences, in.Author)
	return made(Request{labels: in.Silences, body: body, hasBody: true, silence: true, unseen: replaces}, err)
}

// Unseen is the id of the silence that must be seen before the request is sent; ""
// for none.
func (r Request) Unseen() string { return r.unseen }

// Seen returns the request as it may be sent, if the silence that it replaces or
// ends, as Alertmanager answered it, is wholly what the label policy allows. To
// anybody else it does not exist. A silence's matchers never change under its id, so
// what was seen stays true.
func (r Request) Seen(found []byte) (Request, error) {
	if r.unseen == "" || !silence.Belongs(found, r.labels) {
		return Request{}, silence.NotFound()
	}
	r.unseen = ""
	return r, nil
}

// IsSilence reports whether the body is a silence's JSON.
func (r Request) IsSilence() bool { return r.silence }
