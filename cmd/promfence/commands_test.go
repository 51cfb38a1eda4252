package main_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

// Whoever asks for a command's help wants that, and not eighty settings.
func TestHelpShowsACommandsFlagsFirst(t *testing.T) {
	for _, tt := range []struct {
		args     []string
		first    string
		settings bool
	}{
		{[]string{"explain", "--help"}, "promfence explain --tenant", false},
		{[]string{"check", "--help"}, "promfence check [--connect]", false},
		{[]string{"serve", "-h"}, "promfence serve [--config", false},
		{[]string{"--help"}, "promfence lets every tenant", true},
		{[]string{"help"}, "promfence lets every tenant", true},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var out bytes.Buffer
			if err := promfence.Run(t.Context(), tt.args, nil, &out, io.Discard); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out.String(), tt.first) || strings.Contains(out.String(), "PROMFENCE_UPSTREAM_URL") != tt.settings {
				t.Errorf("shows\n%s", &out)
			}
		})
	}
}

func TestAnUnknownCommandSaysSoAndNamesTheNearest(t *testing.T) {
	for name, want := range map[string]string{
		"chek":    "chek: no such command; did you mean check?; there are serve, check, explain, version",
		"explian": "explian: no such command; did you mean explain?",
		"run":     "run: no such command; there are serve",
	} {
		err := promfence.Run(t.Context(), []string{name}, nil, io.Discard, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestCheckWarnsAndSaysThatItAskedNobody(t *testing.T) {
	var out, warned bytes.Buffer
	err := promfence.Run(t.Context(), []string{"check"}, []string{
		"PROMFENCE_UPSTREAM_URL=http://127.0.0.1:9090/api/v1", "PROMFENCE_AUTH_ISSUER=https://idp.example.com", "PROMFENCE_AUTH_AUDIENCE=a",
	}, &out, &warned)
	if err != nil {
		t.Fatal(err)
	}
	if want := "warning: PROMFENCE_UPSTREAM_URL: promfence adds /api/v1 to it; want the URL without that\n"; warned.String() != want {
		t.Errorf("warned %q, want %q", &warned, want)
	}
	if !strings.Contains(out.String(), "\n# Nobody was asked: promfence check --connect asks") {
		t.Errorf("says\n%s", &out)
	}
}

// upstreamOf answers as a Prometheus whose tenant label has these values.
func upstreamOf(t *testing.T, values string) string { return upstreamThat(t, false, values) }

// upstreamThat is upstreamOf, and enforces limits of its engine or not.
func upstreamThat(t *testing.T, enforces bool, values string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, password, _ := r.BasicAuth(); {
		case user+":"+password != "fence:secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/status/buildinfo":
			_, _ = io.WriteString(w, `{"status":"success","data":{"version":"3.8.0","goVersion":"go1.26"}}`)
		case r.URL.Path == "/api/v1/features":
			_, _ = io.WriteString(w, `{"status":"success","data":{"api":{"query_cost":`+strconv.FormatBool(enforces)+`}}}`)
		case r.URL.Path == "/api/v1/label/tenant/values":
			_, _ = io.WriteString(w, `{"status":"success","data":[`+values+`]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// runCheck runs check --connect with an issuer whose second key nobody can use.
func runCheck(t *testing.T, issuer *authtest.Issuer, upstream, password string, more ...string) (out string, err error) {
	t.Helper()
	out, _, err = runCheckWarned(t, issuer, upstream, password, more...)
	return out, err
}

func runCheckWarned(t *testing.T, issuer *authtest.Issuer, upstream, password string, more ...string) (out, warned string, err error) {
	t.Helper()
	weak := authtest.NewKey(t, "ES256").JWK()
	weak["use"] = "enc"
	good := issuer.Key().JWK()
	issuer.Respond(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(authtest.JWKSOf(good, weak)) })
	basic := filepath.Join(t.TempDir(), "basic")
	if err := os.WriteFile(basic, []byte("fence:"+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err = promfence.Run(t.Context(), []string{"check", "--connect"}, append([]string{
		"PROMFENCE_UPSTREAM_URL=" + upstream, "PROMFENCE_UPSTREAM_BASIC_AUTH_FILE=" + basic, "PROMFENCE_TENANCY_LABEL=tenant",
		"PROMFENCE_AUTH_ISSUER=" + issuer.URL, "PROMFENCE_AUTH_AUDIENCE=a",
	}, more...), &stdout, &stderr)
	return stdout.String(), stderr.String(), err
}

// Limits that nobody enforces are no limits: check --connect warns of them, and takes them.
func TestCheckConnectWarnsOfLimitsThatNobodyEnforces(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	set := []string{"PROMFENCE_LIMITS_MAX_SERIES=10", "PROMFENCE_LIMITS_MAX_QUERY_DURATION=10s"}
	nobody := "warning: PROMFENCE_LIMITS_MAX_SERIES: nobody enforces it: the upstream's /api/v1/features does not say that it has query_cost\n" +
		"warning: PROMFENCE_LIMITS_MAX_QUERY_DURATION: nobody enforces it: the upstream's /api/v1/features does not say that it has query_cost\n"
	for name, tt := range map[string]struct {
		upstream string
		settings []string
		want     string
	}{
		"nobody does":    {upstreamThat(t, false, `"acme"`), set, nobody},
		"it does":        {upstreamThat(t, true, `"acme"`), set, ""},
		"there are none": {upstreamThat(t, false, `"acme"`), nil, ""},
	} {
		_, warned, err := runCheckWarned(t, authtest.NewIssuer(t), tt.upstream, "secret", tt.settings...)
		if warned != tt.want || err != nil {
			t.Errorf("%s: warned %q, %v, want %q", name, warned, err, tt.want)
		}
	}
	_, warned, err := runCheckWarned(t, authtest.NewIssuer(t), closed.URL, "secret", set[:1]...)
	if want := "warning: PROMFENCE_LIMITS_MAX_SERIES: the upstream could not be asked whether it enforces it: "; !strings.HasPrefix(warned, want) || err == nil {
		t.Errorf("warned %q, %v, want %q", warned, err, want)
	}
}

func TestCheckConnectSaysWhatTheServersAre(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	out, err := runCheck(t, issuer, upstreamOf(t, `"acme","globex"`), "secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n# PROMFENCE_AUTH_ISSUER: " + issuer.URL + " has 1 usable key from " + issuer.JWKSURL + ", for RS256\n#   left out: key 2: for another use",
		"\n# PROMFENCE_UPSTREAM_URL: Prometheus 3.8.0; the label tenant has 2 values\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("says\n%s\nwant %q in it", out, want)
		}
	}
	for _, hidden := range []string{"Nobody was asked", "globex", "ZmVuY2U6"} {
		if strings.Contains(out, hidden) {
			t.Errorf("says\n%s\nwant no %q in it", out, hidden)
		}
	}
}

func TestCheckConnectReportsAllThatDoesNotFit(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	file := filepath.Join(t.TempDir(), "promfence.yaml")
	err := os.WriteFile(file, []byte("auth: {issuers: [{issuer: "+closed.URL+", audience: b}, {issuer: "+closed.URL+"/c, audience: c}]}"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		values, password string
		want             string
	}{
		"no credentials that it takes": {`"acme"`, "wrong", "PROMFENCE_UPSTREAM_URL: want the URL of a Prometheus API, to which /api/v1 is added: answers 401"},
		"no such label":                {"", "secret", "PROMFENCE_TENANCY_LABEL: no series of the upstream has the label tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := runCheck(t, authtest.NewIssuer(t), upstreamOf(t, tt.values), tt.password, "PROMFENCE_CONFIG="+file)
			if err == nil {
				t.Fatalf("takes it:\n%s", out)
			}
			for _, want := range []string{
				"the servers that the settings name do not fit them\n  ",
				"\n  auth.issuers[0].issuer: no keys of " + closed.URL + ": discovery: ", "\n  auth.issuers[1].issuer: no keys of ", "\n  " + tt.want,
			} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant %q in it", err, want)
				}
			}
			if !strings.Contains(out, "has 1 usable key") {
				t.Errorf("says\n%s", out)
			}
		})
	}
}
