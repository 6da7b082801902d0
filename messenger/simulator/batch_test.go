package simulator_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/messenger/simulator"
)

// batch makes calls in one, as JSON, and returns what each was answered, "" for
// nothing.
func (w *world) batch(rest string, calls ...string) []string {
	w.t.Helper()
	req := w.request("POST", "", `{"batch":[`+strings.Join(calls, ",")+`]`+rest+`}`)
	req.Header.Set("Authorization", "Bearer "+token)
	return w.results(req)
}

func (w *world) results(req *http.Request) (bodies []string) {
	w.t.Helper()
	res, err := w.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer shut(w.t, res)
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var results []*struct {
		Code    int
		Headers []struct{ Name, Value string }
		Body    string
	}
	if err := json.Unmarshal(raw, &results); err != nil {
		w.t.Fatalf("answer %d %s: %v", res.StatusCode, raw, err)
	}
	for _, r := range results {
		if r == nil {
			bodies = append(bodies, "")
			continue
		}
		parts := []string{http.StatusText(r.Code)}
		for _, h := range r.Headers {
			parts = append(parts, h.Name)
		}
		bodies = append(bodies, strings.Join(append(parts, strings.TrimSpace(r.Body)), " "))
	}
	return bodies
}

const called = `OK Content-Type X-App-Usage X-Business-Use-Case-Usage `

func sends(text string) string {
	body := url.Values{"recipient": {`{"id":"` + string(ann) + `"}`}, "message": {`{"text":"` + text + `"}`}}
	b, err := json.Marshal(map[string]string{"method": "post", "relative_url": "v26.0/me/messages", "body": body.Encode()})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	got := w.batch("", sends("one"), `{"method":"GET","relative_url":"me?fields=id"}`, `{"relative_url":"me/nothing"}`, sends("two"))
	lines := w.Transcript(ann)
	if len(lines) != 3 || lines[1].Text != "one" || lines[2].Text != "two" {
		t.Fatalf("transcript = %+v, want both messages in order", lines)
	}
	sent := func(i int) string {
		return called + `{"recipient_id":"` + string(ann) + `","message_id":"` + string(lines[i].MID) + `"}`
	}
	trace := got[2][strings.LastIndex(got[2], `"fbtrace_id":"`)+14:]
	trace, _, _ = strings.Cut(trace, `"`)
	want := []string{
		sent(1), called + `{"id":"` + string(page) + `"}`,
		`Bad Request Content-Type X-App-Usage X-Business-Use-Case-Usage {"error":{"code":100,"fbtrace_id":"` + trace +
			`","message":"(#100) Tried accessing nonexisting field (nothing) on node type (Page)","type":"OAuthException"}}`,
		sent(2),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	edges := []string{}
	for _, c := range w.Calls() {
		edges = append(edges, c.Edge)
	}
	if diff := cmp.Diff([]string{"messages", "page", "nothing", "messages", "batch"}, edges); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	if got := w.batch(`,"include_headers":false`, `{"relative_url":"me?fields=id"}`); got[0] != `OK {"id":"`+string(page)+`"}` {
		t.Errorf("result without headers = %s", got[0])
	}
}

func TestBatchAsForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	form := url.Values{"access_token": {token}, "include_headers": {"false"}, "batch": {`[{"relative_url":"me?fields=id"}]`}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://graph.example/", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := w.results(req); got[0] != `OK {"id":"`+string(page)+`"}` {
		t.Errorf("results = %v", got)
	}
}

func TestBatchIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := `{"relative_url":"me"}`
	for name, calls := range map[string]string{
		"none": "", "too_many": many(51, one), "depends": `{"relative_url":"me","depends_on":"x"}`, "files": `{"relative_url":"me","attached_files":"x"}`,
		"no_object": `7`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.call("POST", "", `{"batch":[`+calls+`]}`).want(t, 400, 100, 0)
		})
	}
	if got := w.batch("", strings.Split(many(50, one), ",")...); len(got) != 50 {
		t.Errorf("%d results, want 50", len(got))
	}
	w.call("GET", "", "").want(t, 400, 100, 33)
	a, err := w.do(w.request("POST", "", `{"batch":[`+one+`],"access_token":"wrong"}`))
	if err != nil {
		t.Fatal(err)
	}
	a.want(t, http.StatusUnauthorized, 190, 0)
	for call, want := range map[string]string{
		`{"method":"POST","relative_url":"","body":"batch=[]"}`:       "in a batch",
		`{"relative_url":"me?access_token=secret-%zz"}`:               "cannot be read",
		`{"relative_url":"me","body":"access_token=secret;%zz"}`:      "cannot be read",
		`{"relative_url":"me?access_token=wrong"}`:                    "Invalid OAuth access token",
		`{"relative_url":"me?appsecret_proof=` + many(64, "0") + `"}`: "Invalid appsecret_proof",
	} {
		if got := w.batch("", call)[0]; !strings.Contains(got, want) || strings.Contains(got, "secret-") {
			t.Errorf("%s: %s, want %q in it", call, got, want)
		}
	}
}

// The calls of a batch have the token and proof of the batch, or their own; a batch
// without a proof is refused where proof is wanted.
func TestBatchTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.CheckProof = true; o.KeepBodies = true })
	w.call("POST", "", `{"batch":[{"relative_url":"me"}]}`).want(t, 400, 100, 0)
	other := w.OtherApp(desk)
	own := `{"relative_url":"me?fields=id&access_token=` + other.Token() + `&appsecret_proof=` + proofOf(other.Secret(), other.Token()) + `"}`
	w.batch(`,"appsecret_proof":"`+proofOf("app-secret", token)+`"`, `{"relative_url":"me?fields=id"}`, own)
	wrong := `{"relative_url":"me?appsecret_proof=` + strings.Repeat("0", 64) + `"}`
	if got := w.batch(`,"appsecret_proof":"`+proofOf("app-secret", token)+`"`, wrong); !strings.Contains(got[0], "Invalid appsecret_proof") {
		t.Errorf("a call with a wrong proof of its own: %s", got[0])
	}
	calls := w.Calls("page")[:2]
	if !calls[0].OK() || !calls[1].OK() || calls[0].App != bot || calls[1].App != desk {
		t.Errorf("calls = %+v, want one of the bot and one of the desk", calls)
	}
	b, err := json.Marshal(w.Snapshot())
	if err != nil || strings.Contains(string(b), other.Token()) {
		t.Errorf("the ledger has a token in it: %s %v", b, err)
	}
}

// Each call of a batch counts, and has its own fate; one without an answer is null.
func TestBatchCountsAndFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enforced)
	w.says("hello")
	one := `{"relative_url":"me?fields=id"}`
	w.FailNext(simulator.EdgePage, simulator.Failure{Cut: true})
	w.FailNext(simulator.EdgePage, simulator.Failure{Status: 500, Code: 1})
	w.FailNext(simulator.EdgePage, simulator.Failure{Status: 502, Body: "<html>"})
	got := w.batch("", one, one, one, one)
	if got[0] != "" || !strings.HasPrefix(got[1], "Internal Server Error Content-Type {") || got[2] != "Bad Gateway Content-Type <html>" || !strings.HasPrefix(got[3], called) {
		t.Errorf("results = %q", got)
	}
	for range 4 {
		w.batch("", strings.Split(many(49, one), ",")...)
	}
	if got := w.batch("", one, one, one, one); !strings.HasPrefix(got[2], called) || !strings.Contains(got[3], "80006") {
		t.Errorf("results = %q, want the last call to be one too many", got)
	}

	// Meta's own: all is done, but the answer says it is not.
	w = newWorld(t)
	w.says("hello")
	w.FailNext(simulator.EdgeBatch, simulator.Failure{After: true, Code: 1, Subcode: 1357046})
	w.call("POST", "", `{"batch":[`+sends("one")+`]}`).want(t, 400, 1, 1357046)
	w.FailNext(simulator.EdgeBatch, simulator.Failure{Cut: true})
	if _, err := w.try("POST", "", `{"batch":[`+sends("two")+`]}`); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error = %v, want a cut connection", err)
	}
	if lines := w.Transcript(ann); len(lines) != 2 || lines[1].Text != "one" {
		t.Errorf("transcript = %+v, want the first batch's message only", lines)
	}
}
