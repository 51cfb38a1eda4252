package alerting_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/alerting"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/silence"
)

func manager(write bool, hidden func()) alerting.Manager {
	return alerting.New(&alerting.Options{URL: &url.URL{Scheme: "http", Host: "alertmanager.test"}, Write: write, MaxSilence: 1}, hidden)
}

func TestWritingTakesTheSettingASubjectAndALabelPolicy(t *testing.T) {
	l, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		manager alerting.Manager
		id      auth.Identity
		want    string
	}{
		"all of them":           {manager(true, nil), auth.Identity{Subject: "alice", Silences: l}, "write"},
		"the setting says read": {manager(false, nil), auth.Identity{Subject: "alice", Silences: l}, "read"},
		"nobody":                {manager(true, nil), auth.Identity{Silences: l}, "read"},
		"no silences of theirs": {manager(true, nil), auth.Identity{Subject: "alice"}, "read"},
		"no Alertmanager":       {alerting.New(nil, nil), auth.Identity{Subject: "alice", Silences: l}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.manager.Allows(tt.id); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			var in scope.Input
			if tt.manager.Sign(&in, tt.id); tt.want != "write" && !in.Silences.IsZero() && in.Author != "" {
				t.Error("what may not be written can be")
			}
		})
	}
}

// A text of Alertmanager may name somebody else's silence.
func TestErrorsAreInOurWords(t *testing.T) {
	for status, want := range map[int]int{http.StatusNotFound: http.StatusNotFound, http.StatusBadRequest: http.StatusBadRequest, http.StatusInternalServerError: http.StatusInternalServerError} {
		resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`"globex has this"`))}
		err := manager(true, func() {}).Error(resp)
		e, ok := errors.AsType[*apierr.Error](err)
		if !ok || e.Status != want || strings.Contains(e.Message, "globex") {
			t.Errorf("%d: %v", status, err)
		}
		if none := silence.NotFound().Message; ok && (e.Message == none) != (status == http.StatusNotFound) {
			t.Errorf("%d: %q, and a silence of others is %q", status, e.Message, none)
		}
	}
}
