package docs_test

import (
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/test/harness"
)

const deployed = "../../cmd/promfence/deploy/"

// A setup is an example of settings, wherever it stands.
type setup struct {
	name string
	auth config.Auth

	tenantHeader string
}

// setups are all examples of whose tokens are believed.
func setups(t *testing.T) (all []setup) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"alerting-secret", "token", "tls.crt", "tls.key", "basic-auth"} {
		harness.WriteFile(t, filepath.Join(dir, name), strings.Repeat("0", 32))
	}
	harness.WriteFile(t, filepath.Join(dir, "ca.crt"), authority(t))
	inPods := regexp.MustCompile(`/(?:etc/promfence|var/run/secrets|var/log/promfence)[a-z./-]*/`)
	add := func(name, text string, environ ...string) {
		file := filepath.Join(dir, "promfence.yaml")
		text = inPods.ReplaceAllString(text, dir+"/")
		if !strings.Contains(text, "upstream:") && len(environ) == 0 {
			text += "upstream: {url: http://prometheus:9090}\n"
		}
		harness.WriteFile(t, file, text)
		c, err := config.Load([]string{"--config", file}, environ)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, setup{name, c.Auth, c.Upstream.TenantHeader})
	}
	for _, e := range examples(t, "promfence.yaml") {
		add(e.title, e.text)
	}
	for _, e := range examples(t, "the same by variables") {
		add(e.title, "", regexp.MustCompile(`PROMFENCE_\w+=\S+`).FindAllString(e.text, -1)...)
	}
	add("the manifest in the page", "", fencedPod(t, examples(t, "kubernetes.yaml")[0].text).environ...)
	for _, name := range []string{"sidecar.yaml", "standalone.yaml"} {
		add(name, fencedPod(t, readFile(t, deployed+name)).settings)
	}
	values, err := filepath.Glob(deployed + "chart/ci/*-values.yaml")
	if err != nil || len(values) < 8 {
		t.Fatalf("%v: values %v", err, values)
	}
	for _, path := range values {
		var v struct{ Config map[string]any }
		if err := yaml.Unmarshal([]byte(readFile(t, path)), &v); err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Marshal(v.Config)
		if err != nil {
			t.Fatal(err)
		}
		if v.Config["upstream"] == nil {
			text = append(text, "upstream: {url: http://127.0.0.1:10902}\n"...)
		}
		add(filepath.Base(path), string(text))
	}
	return all
}

// claimed is what a token of somebody with two tenants, where there can be two, holds
// where an example's tenant_claim looks.
var claimed = map[string]jwt.MapClaims{
	"tenant_id":                             {"tenant_id": []string{"acme", "globex"}},
	`"https://example.com/tenant_id"`:       {"https://example.com/tenant_id": "acme"},
	"groups":                                {"groups": []string{"acme", "globex"}},
	"roles":                                 {"roles": []string{"acme", "globex"}},
	`"urn:zitadel:iam:org:project:roles".*`: {"urn:zitadel:iam:org:project:roles": map[string]any{"acme": map[string]any{}}},
	`"kubernetes.io".namespace`:             {"kubernetes.io": map[string]any{"namespace": "acme"}},
}

// An entry is one issuer of a setup, with what its tokens look like.
type entry struct {
	issuer, audience, audienceClaim, claim string
	fixed                                  bool
}

func (s setup) entries() (all []entry) {
	if s.auth.Issuer != "" {
		all = append(all, entry{s.auth.Issuer, s.auth.Audience[0], s.auth.AudienceClaim, s.auth.TenantClaim, false})
	}
	for _, is := range s.auth.Issuers {
		e := entry{is.Issuer, is.Audience[0], is.AudienceClaim, is.TenantClaim, is.Tenant != ""}
		if e.claim == "" {
			e.claim = s.auth.TenantClaim
		}
		all = append(all, e)
	}
	return all
}

var sharedSecret = strings.Repeat("0123456789abcdef", 2)

// token is one that an issuer gives whoever comes to a setup.
func (e entry) token(t *testing.T) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": e.issuer, "exp": time.Now().Add(time.Hour).Unix()}
	if e.audienceClaim == "" || e.audienceClaim == "aud" {
		claims["aud"] = e.audience
	} else {
		claims[e.audienceClaim] = e.audience
	}
	held, ok := claimed[e.claim]
	if !ok && !e.fixed {
		t.Fatalf("what does a token hold at %s?", e.claim)
	}
	for name, value := range held {
		claims[name] = value
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(sharedSecret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// authenticator is that of a setup, whose issuers all sign with one secret.
func (s setup) authenticator(t *testing.T, secret string) *auth.Authenticator {
	t.Helper()
	o := auth.Options{
		Issuer: s.auth.Issuer, Audience: s.auth.Audience, AudienceClaim: s.auth.AudienceClaim, HMACSecretFile: secret,
		TenantClaim: s.auth.TenantClaim, TokenHeaders: s.auth.TokenHeaders, TenantHeader: s.tenantHeader,
	}
	if s.auth.Issuer == "" {
		o.HMACSecretFile = ""
	}
	for _, is := range s.auth.Issuers {
		i := auth.IssuerOptions{Issuer: is.Issuer, Audience: is.Audience, AudienceClaim: is.AudienceClaim, HMACSecretFile: secret, TenantClaim: is.TenantClaim}
		if is.Tenant != "" {
			i.Tenants = []string{is.Tenant}
		}
		o.Issuers = append(o.Issuers, i)
	}
	a, err := auth.New(o)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return a
}

// People copy settings from one page and what makes tokens from another. So whoever
// has a token for one example gets in by each other example with the same issuer.
func TestExamplesOfOneIssuerFitTogether(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	harness.WriteFile(t, secret, sharedSecret)
	all, tried := setups(t), 0
	for _, from := range all {
		for _, e := range from.entries() {
			token := e.token(t)
			for _, to := range all {
				if !slices.ContainsFunc(to.entries(), func(other entry) bool { return other.issuer == e.issuer }) {
					continue
				}
				tried++
				r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
				for _, header := range from.auth.TokenHeaders { // as Grafana sends several at once
					r.Header.Set(header, "Bearer "+token)
				}
				if _, err := to.authenticator(t, secret).Authenticate(r); err != nil {
					t.Errorf("a token for %q, at %q: %v", from.name, to.name, err)
				}
			}
		}
	}
	if tried < 2*len(all) {
		t.Errorf("%d pairs of %d examples", tried, len(all))
	}
}

// A pod is what a manifest says of promfence and of the Thanos beside it.
type pod struct {
	image, thanos, settings string
	grace                   int
	environ, discovery      []string
}

func fencedPod(t *testing.T, text string) (p pod) {
	t.Helper()
	for _, object := range documents(t, text) {
		var d struct {
			Data map[string]string
			Spec struct {
				Template struct {
					Spec struct {
						Grace  int `yaml:"terminationGracePeriodSeconds"`
						Beside []struct {
							Image string
							Args  []string
						} `yaml:"initContainers"`
						Containers []struct {
							Image string
							Env   []struct{ Name, Value string }
						}
					}
				}
			}
		}
		_ = object.Decode(&d) // what is no Deployment may look otherwise
		if text := d.Data["promfence.yaml"]; text != "" {
			p.settings = text
		}
		spec := d.Spec.Template.Spec
		if len(spec.Containers) == 0 {
			continue
		}
		p.image, p.grace = spec.Containers[0].Image, spec.Grace
		for _, v := range spec.Containers[0].Env {
			if strings.HasPrefix(v.Name, "PROMFENCE_") {
				p.environ = append(p.environ, v.Name+"="+v.Value)
			}
		}
		for _, b := range spec.Beside {
			p.thanos = b.Image
			p.discovery = slices.DeleteFunc(slices.Clone(b.Args), func(a string) bool { return !strings.HasPrefix(a, "--endpoint=") })
		}
	}
	return p
}

// The page, the manifests and the chart name the same images, find stores in the same
// way and give a pod the same time to end.
func TestManifestsAndChartAgree(t *testing.T) {
	var values struct {
		Image  struct{ Repository string }
		Thanos struct {
			Image     string
			Endpoints []string
		} `yaml:"thanosQuery"`
	}
	var about struct {
		AppVersion string `yaml:"appVersion"`
	}
	for path, to := range map[string]any{"values.yaml": &values, "Chart.yaml": &about} {
		if err := yaml.Unmarshal([]byte(readFile(t, deployed+"chart/"+path)), to); err != nil {
			t.Fatal(err)
		}
	}
	image, discovery := values.Image.Repository+":"+about.AppVersion, []string{"--endpoint=" + values.Thanos.Endpoints[0]}
	for name, text := range map[string]string{
		"README.md": examples(t, "kubernetes.yaml")[0].text, "sidecar.yaml": readFile(t, deployed+"sidecar.yaml"), "standalone.yaml": readFile(t, deployed+"standalone.yaml"),
	} {
		p := fencedPod(t, text)
		if p.image != image || p.grace != 40 {
			t.Errorf("%s: %s with %d s, the chart has %s with 40 s", name, p.image, p.grace, image)
		}
		if p.thanos != "" && (p.thanos != values.Thanos.Image || !slices.Equal(p.discovery, discovery)) {
			t.Errorf("%s: %s %v, the chart has %s %v", name, p.thanos, p.discovery, values.Thanos.Image, discovery)
		}
	}
}
