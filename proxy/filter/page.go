package filter

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"

	"github.com/promfence/promfence/proxy/apierr"
)

// CheckRules refuses what Prometheus refuses about the parameters of
// /api/v1/rules that promfence applies itself and does not forward:
// exclude_alerts, group_limit and group_next_token. The texts are Prometheus's.
func (v View) CheckRules() error {
	if _, err := excludeAlerts(v.Params); err != nil {
		return err
	}
	_, err := newRulesPage(v.Params)
	return err
}

func invalidParam(name, text string) error {
	return apierr.BadData("invalid parameter %q: %s", name, text)
}

func excludeAlerts(params url.Values) (bool, error) {
	s := strings.ToLower(params.Get("exclude_alerts"))
	if s == "" {
		return false, nil
	}
	exclude, err := strconv.ParseBool(s)
	if err != nil {
		return false, invalidParam("exclude_alerts", "error converting exclude_alerts: "+err.Error())
	}
	return exclude, nil
}

// A rulesPage is the part of the visible groups that was asked for.
type rulesPage struct {
	limit int    // 0 is no limit
	token string // of the first group wanted; empty once it was found
	count int    // groups admitted so far
	next  string // token of the first group beyond the page
}

func newRulesPage(params url.Values) (rulesPage, error) {
	limit, token := params.Get("group_limit"), params.Get("group_next_token")
	if limit == "" {
		if token != "" {
			return rulesPage{}, invalidParam("group_next_token", "group_limit needs to be present in order to paginate over the groups")
		}
		return rulesPage{}, nil
	}
	n, err := strconv.ParseInt(limit, 10, 32)
	switch {
	case err != nil:
		return rulesPage{}, invalidParam("group_limit", "group_limit needs to be a valid number: "+err.Error())
	case n <= 0:
		return rulesPage{}, invalidParam("group_limit", "group_limit needs to be greater than 0")
	}
	return rulesPage{limit: int(n), token: token}, nil
}

// admit decides on the next visible group.
func (p *rulesPage) admit(file, name string) bool {
	if p.limit == 0 {
		return true
	}
	own := groupToken(file, name)
	if p.token != "" && p.token != own {
		return false
	}
	p.token = ""
	if p.count == p.limit {
		p.next = own
		return false
	}
	p.count++
	return true
}

// missing is the refusal of a token that names no visible group. Another
// tenant's group and one that never was are the same to the caller. It comes
// before anything was written, since no group was.
func (p *rulesPage) missing() error {
	if p.token == "" {
		return nil
	}
	return invalidParam("group_next_token", "invalid group_next_token '"+p.token+"'. were rule groups changed?")
}

// groupToken names a group as Prometheus does, so that a client may carry on
// with either.
func groupToken(file, name string) string {
	sum := sha256.Sum256([]byte(file + ";" + name))
	return hex.EncodeToString(sum[:])
}
