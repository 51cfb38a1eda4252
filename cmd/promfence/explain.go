package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/proxy/promql"
)

const explainUsage = `explain --tenant NAME [--tenant NAME] [--label NAME | --config FILE] 'QUERY'
  promfence explain --claims FILE [--issuer NAME] [--policy NAMES] [--tenant NAMES] [--config FILE] 'QUERY'`

var explainFlags = []string{
	"--tenant NAME   a tenant that the caller may read as; several times for several",
	"--label NAME    the label that names a series' tenant; without it, tenancy.label of the settings",
	"--claims FILE   a token's claims as JSON, held against the settings as if they were verified:\n                  which policies apply, why the others do not, and what the query becomes",
	"--issuer NAME   with --claims: the token's issuer, in the place of iss",
	"--policy NAMES  with --claims: what the caller sends as " + policy.PolicyHeader,
	"--tenant NAMES  with --claims: what the caller sends as " + policy.TenantHeader,
	"--config FILE   " + configMeaning,
}

// A question is what explain is asked.
type question struct {
	claims, issuer, policy, label, query string
	tenants                              []string
	config                               []string // the flag, if it was given
}

func parseQuestion(args []string) (question, error) {
	flags := pflag.NewFlagSet("explain", pflag.ContinueOnError)
	flags.Usage = func() {}
	var q question
	flags.StringArrayVar(&q.tenants, "tenant", nil, "")
	for name, to := range map[string]*string{"label": &q.label, "claims": &q.claims, "issuer": &q.issuer, "policy": &q.policy} {
		flags.StringVar(to, name, "", "")
	}
	file := flags.String("config", "", "")
	if err := flags.Parse(args); err != nil {
		return q, err
	}
	if flags.Changed("config") {
		q.config = []string{"--config", *file}
	}
	q.query = flags.Arg(0)
	switch sketched := flags.Changed("claims"); {
	case flags.NArg() != 1, !sketched && len(q.tenants) == 0:
		return q, errors.New("explain: want --tenant NAME or --claims FILE, and one query, in quotes")
	case !sketched && (flags.Changed("issuer") || flags.Changed("policy")):
		return q, errors.New("explain: want --claims FILE with --issuer and --policy")
	case sketched && flags.Changed("label"):
		return q, errors.New("explain: want --label without --claims: the settings say it")
	case sketched && len(q.tenants) > 1:
		return q, errors.New("explain: want one --tenant with --claims, and commas between several names")
	}
	return q, nil
}

// explain prints the enforced query, and with claims how it came to that.
func explain(_ context.Context, in input) error {
	q, err := parseQuestion(in.args)
	switch {
	case err != nil:
		return err
	case q.claims != "":
		return explainClaims(in, q)
	}
	if q.label == "" { // of the settings, tenants need nothing else
		if q.label, err = config.TenancyLabel(q.config, in.environ); err != nil {
			return mistakes(err)
		}
	}
	labels, err := policy.ForTenants(q.label, q.tenants...)
	if err != nil {
		return fmt.Errorf("--tenant: %w", err)
	}
	text, err := enforced(labels, false, q.query)
	if err != nil {
		return err
	}
	warnOfConflict(in.stderr, labels, q.query)
	_, err = fmt.Fprintln(in.stdout, text)
	return err
}

// enforced is a query as the upstream would be sent it on behalf of a label policy. Its
// errors are those that a caller would read, except that there are no bounds on the
// query's size.
func enforced(l policy.Labels, rejectConflicts bool, query string) (string, error) {
	e, err := (&promql.Enforcers{RejectConflicts: rejectConflicts}).For(l)
	if err != nil {
		return "", err
	}
	return e.Explain(query)
}

// warnOfConflict names a matcher of the query's own that explains an empty answer. It
// is what the query would be refused for, where the settings refuse such queries.
func warnOfConflict(w io.Writer, l policy.Labels, query string) {
	_, refused := enforced(l, true, query)
	if refused == nil {
		return
	}
	text := refused.Error()
	if cause := errors.Unwrap(refused); cause != nil { // it says the same in other words
		text = strings.TrimSuffix(text, ": "+cause.Error())
	}
	fmt.Fprintln(w, "warning:", text)
}

// explainClaims answers why the bearer of a token sees what they see. It reads no
// keys and no credentials, so that it works wherever the settings' file is.
func explainClaims(in input, q question) error {
	var rules *policy.Rules
	cfg, err := config.Load(q.config, in.environ, func(c *config.Config) (wrong []config.Mistake) {
		rules, wrong = newRules(c)
		return wrong
	})
	if err != nil {
		return mistakes(err)
	}
	b, err := readFile(q.claims)
	if err != nil {
		return fmt.Errorf("--claims: %w", err)
	}
	claims, err := policy.ParseClaims(b)
	if err != nil {
		return fmt.Errorf("--claims: what is in the file %w", err)
	}
	n, err := policy.ParseNarrowing(given(q.policy), given(strings.Join(q.tenants, "")), cfg.Tenancy.MaxTenants)
	if err != nil {
		return err
	}
	o := authOptions(cfg, zerolog.Nop())
	o.Policies = rules
	x, refused := auth.Explain(o, claims, q.issuer, n)
	w := &lineWriter{w: in.stdout}
	if rules != nil {
		w.verdicts(x.Verdicts, q.policy)
	}
	if refused != nil {
		return errors.Join(w.err, fmt.Errorf("refused: %w", refused))
	}
	w.outcome(x.Identity)
	if cfg.Alertmanager.URL != "" {
		w.silences(x.Identity, cfg.Alertmanager.Silences == policy.SilencesWrite)
	}
	text, err := enforced(x.Identity.Labels, cfg.Tenancy.RejectsConflicts(), q.query)
	if err != nil {
		return errors.Join(w.err, err)
	}
	w.line("query         %s", text)
	warnOfConflict(in.stderr, x.Identity.Labels, q.query)
	return w.err
}

// given is a header's lines: none, if it is not sent.
func given(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// A lineWriter writes lines until one fails.
type lineWriter struct {
	w   io.Writer
	err error
}

func (w *lineWriter) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format+"\n", args...)
	}
}

// maxShown bounds the lines of each kind, so that the outcome stays on the screen.
const maxShown = 10

// verdicts says of policies whether they apply: of all that do and all that are
// named, and of some others.
func (w *lineWriter) verdicts(verdicts []policy.Verdict, named string) {
	var others []policy.Verdict
	for _, v := range verdicts {
		if v.Applies || slices.Contains(strings.Split(named, ","), v.Name) {
			w.verdict(v)
		} else {
			others = append(others, v)
		}
	}
	for i, v := range others {
		if i == maxShown {
			w.line("              … and %d more that do not apply: --policy NAME says why", len(others)-i)
			break
		}
		w.verdict(v)
	}
}

func (w *lineWriter) verdict(v policy.Verdict) {
	switch {
	case !v.Applies:
		w.line("policy        %s does not apply: %s", v.Name, v.Why)
	case v.Why != "":
		w.line("policy        %s applies and grants %s, but is not used: %s", v.Name, v.Grants, v.Why)
	default:
		w.line("policy        %s applies and grants %s", v.Name, v.Grants)
	}
	for i, l := range v.LeftOut {
		if i == maxShown {
			w.line("              … and %d more left out", len(v.LeftOut)-i)
			break
		}
		w.line("              left out of %s: %.80q %v", l.Label, l.Value, l.Why)
	}
}

// outcome says what all of them together allow.
func (w *lineWriter) outcome(id auth.Identity) {
	names, all := id.Labels.Tenants()
	tenants := strings.Join(names, ", ")
	if all {
		tenants = "all"
	}
	w.line("tenants       %s", tenants)
	w.line("label policy  %s", id.Labels)
}

// silences says what the caller may silence.
func (w *lineWriter) silences(id auth.Identity, write bool) {
	switch {
	case !write:
		w.line("silences      read: alertmanager.silences does not say write")
	case id.Silences.IsZero():
		w.line("silences      read: no policy that is used says silences: write, or they cannot be joined")
	default:
		w.line("silences      write, with a sub in the token, for %s", id.Silences)
	}
}
