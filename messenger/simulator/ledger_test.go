package simulator_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/messenger/simulator"
)

// The ledger keeps what was on the wire where it is asked to, but no token.
func TestLedgerKeepsBodies(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		var got []byte // what the webhook got
		meta, err := simulator.New(simulator.Options{
			App: "11", AppSecret: "a secret", Page: "22", PageToken: "a-token", KeepBodies: keep,
			Webhook: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = io.ReadAll(r.Body) }),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(meta.Close)
		if _, err := meta.Customer("33").Says("a/ü"); err != nil {
			t.Fatal(err)
		}
		if err := meta.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		told := meta.Deliveries("11")[0]
		if want := keep; bytes.Equal(told.Body, got) != want || !keep && told.Body != nil {
			t.Errorf("keep %v: delivery has %s, the webhook got %s", keep, told.Body, got)
		}
		meta.FailNext(simulator.EdgeMessages, simulator.Failure{Status: http.StatusServiceUnavailable, Code: 2})
		for _, text := range []string{`"failing"`, `""`, `"fine"`} {
			post(t, meta, `{"recipient":{"id":"33"},"messaging_type":"RESPONSE","message":{"text":`+text+`}}`)
		}
		for i, want := range []string{`"code":2`, `"code":100`, `"message_id"`} {
			c := meta.Calls(simulator.EdgeMessages)[i]
			all := string(c.Request) + string(c.Answer)
			if strings.Contains(string(c.Answer), want) != keep || strings.Contains(string(c.Request), `"recipient"`) != keep {
				t.Errorf("keep %v: call %d has %s → %s, want an answer with %s", keep, i, c.Request, c.Answer, want)
			}
			if strings.Contains(all, "a-token") || strings.Contains(all, "proof") {
				t.Errorf("call %d shows a secret: %s", i, all)
			}
		}
		if b, err := json.Marshal(meta.Snapshot()); err != nil || bytes.Contains(b, []byte(`"body"`)) != keep {
			t.Errorf("keep %v: ledger as JSON is %s, %v", keep, b, err)
		}
	}
}

// A body that is too long for the ledger is left out.
func TestLedgerLeavesLongBodiesOut(t *testing.T) {
	t.Parallel()
	meta, err := simulator.New(simulator.Options{App: "11", AppSecret: "a secret", Page: "22", PageToken: "a-token", KeepBodies: true})
	if err != nil {
		t.Fatal(err)
	}
	defer meta.Close()
	post(t, meta, `{"recipient":{"id":"33"},"message":{"text":"`+strings.Repeat("x", 20_000)+`"}}`)
	if c := meta.Calls()[0]; c.Request != nil || c.Answer == nil {
		t.Errorf("call has %d bytes of request and answer %s, want none and one", len(c.Request), c.Answer)
	}
}

// post calls messages, with the token in the query as well.
func post(t *testing.T, meta *simulator.Meta, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"https://graph.invalid/v26.0/me/messages?access_token=a-token", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := meta.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// An act tells what was written or tapped, and the window opens with each.
func TestActsAndTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.Window(ann); !got.IsZero() {
		t.Errorf("the window is open until %v before she has acted", got)
	}
	w.says("hello")
	first := w.Window(ann)
	w.pass(time.Hour)
	if _, err := w.Customer(ann).Sends("image"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Agent().Replies(ann, "Tom here"); err != nil {
		t.Fatal(err)
	}
	if got := w.Window(ann); got.Sub(first) != time.Hour {
		t.Errorf("the window moved from %v to %v, want an hour later", first, got)
	}
	var texts []string
	for _, e := range w.Snapshot() {
		if e.Act != nil {
			texts = append(texts, e.Act.Who+" "+e.Act.Text)
		}
	}
	if want := []string{"customer hello", "customer image", "agent Tom here"}; !slices.Equal(texts, want) {
		t.Errorf("acts = %q, want %q", texts, want)
	}
}
