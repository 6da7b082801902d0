package simulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger/simulator"
)

// controlled asks the control API over HTTP, and returns the status and the body.
func controlled(t *testing.T, client *http.Client, method, address, body string, headers ...string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// Without a token only this machine may control the simulator, and no web page on it.
func TestControlIsForThisMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := httptest.NewServer(w)
	defer server.Close()
	for host, want := range map[string]int{
		"127.0.0.1:8090": 200, "localhost": 200, "[::1]:8090": 200, "evil.example:8090": 403, "": 200,
	} {
		if got, body := controlled(t, server.Client(), "GET", server.URL+"/_simulator/clock", "", "Host", host); got != want {
			t.Errorf("asked as %q: %d, want %d: %s", host, got, want, body)
		}
	}
	from := func(local string) int {
		req := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey,
			net.Addr(&net.TCPAddr{IP: net.ParseIP(local), Port: 80})), http.MethodGet, "http://localhost/_simulator/clock", http.NoBody)
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, req)
		return rec.Code
	}
	if got := from("10.0.0.7"); got != http.StatusForbidden {
		t.Errorf("asked over the network: %d, want 403", got)
	}
	if got := from("127.0.0.1"); got != http.StatusOK {
		t.Errorf("asked over loopback: %d, want 200", got)
	}
}

func TestControlToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.ControlToken = "open sesame" })
	server := httptest.NewServer(w)
	defer server.Close()
	for given, want := range map[string]int{
		"Bearer open sesame": 200, "": 401, "Bearer open": 401, "Bearer open sesame!": 401, "open sesame": 401,
	} {
		got, body := controlled(t, server.Client(), "GET", server.URL+"/_simulator/settings", "", "Authorization", given, "Host", "simulator.example")
		if got != want || strings.Contains(body, "sesame") {
			t.Errorf("with %q: %d, want %d: %s", given, got, want, body)
		}
	}
}

// What cannot be is answered with what, where, why and how to mend it.
func TestControlErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, path, body string
		headers            []string
		status             int
		where, why, mend   string
	}{
		"no_route":         {method: "GET", path: "nothing", status: 404, why: "no route GET /_simulator/nothing", mend: "openapi.yaml"},
		"wrong_method":     {method: "DELETE", path: "clock", status: 404, why: "no route DELETE /_simulator/clock"},
		"not_json":         {method: "POST", path: "clock", body: "forward=1h", status: 400, where: "body", why: "invalid character"},
		"form":             {method: "POST", path: "clock", body: "{}", headers: []string{"Content-Type", "text/plain"}, status: 415, where: "Content-Type"},
		"two_objects":      {method: "POST", path: "clock", body: `{"forward":"1h"}{}`, status: 400, where: "body", why: "more than one"},
		"unknown_key":      {method: "POST", path: "clock", body: `{"forwards":"1h"}`, status: 400, where: "body.forwards", why: "unknown field"},
		"wrong_type":       {method: "POST", path: "clock", body: `{"forward":1}`, status: 400, where: "body.forward", why: "cannot unmarshal number"},
		"backwards":        {method: "POST", path: "clock", body: `{"forward":"-1h"}`, status: 400, where: "body.forward", why: "outside 0s to 8784h0m0s", mend: "36h"},
		"somebody's_clock": {method: "POST", path: "clock", body: `{"forward":"1h"}`, status: 409, why: "not the simulator's"},
		"too_long":         {method: "POST", path: "clock", body: strings.Repeat(" ", 1<<20+1), status: 413, where: "body", why: "1048576 bytes"},
		"bad_psid":         {method: "PUT", path: "customers/ann", body: "{}", status: 400, where: "path.psid", mend: "decimal digits"},
		"nobody":           {method: "GET", path: "customers/1", status: 404, where: "customer", why: "no such customer", mend: "PUT /_simulator/customers"},
		"nobody_acts":      {method: "POST", path: "customers/1/deeds", body: `{"does":"reads"}`, status: 404, where: "customer"},
		"nobodys_phone":    {method: "GET", path: "customers/1/phone", status: 404, where: "customer"},
		"nobodys_ai":       {method: "POST", path: "ai/deeds", body: `{"does":"takes","customer":"1"}`, status: 404, where: "customer"},
		"unknown_measure":  {method: "POST", path: "meta/deeds", body: `{"does":"enforces","text":"x"}`, status: 422, where: "body.text", why: "warning, block and unblock are"},
		"bad_failure":      {method: "POST", path: "faults", body: `{"failure":{"chance":2}}`, status: 400, where: "body", why: "outside 0 to 1"},
		"unknown_failure":  {method: "POST", path: "faults", body: `{"failure":{"colour":2}}`, status: 400, where: "body.colour"},
		"too_many_echoes":  {method: "PATCH", path: "faults", body: `{"dropped_echoes":2}`, status: 400, where: "body.dropped_echoes", why: "outside 0 to 1"},
		"too_many_copies":  {method: "PATCH", path: "faults", body: `{"duplicates":101}`, status: 400, where: "body.duplicates", why: "outside 0 to 100"},
		"no_chaos":         {method: "PATCH", path: "faults", body: `{"chaos":{"seed":1,"every":"0s"}}`, status: 400, where: "body.chaos.every"},
		"bad_social":       {method: "PATCH", path: "settings", body: `{"social":"us"}`, status: 400, where: "body.social"},
		"needs_text":       {method: "POST", path: "customers/7000000000000001/deeds", body: `{"does":"says"}`, status: 400, where: "body", why: "it needs text"},
		"means_nothing": {
			method: "POST", path: "customers/7000000000000001/deeds", body: `{"does":"reads","text":"x"}`, status: 400, where: "body",
			why: "text means nothing to it; it takes nothing more", mend: "verbs",
		},
		"no_such_app":     {method: "POST", path: "apps/9/deeds", body: `{"does":"takes","customer":"1"}`, status: 404, where: "path.app", mend: "connect it first"},
		"bad_app":         {method: "PUT", path: "apps/desk", body: `{}`, status: 400, where: "path.app"},
		"bad_default":     {method: "PATCH", path: "settings", body: `{"default_app":"us"}`, status: 400, where: "body.default_app"},
		"bad_extension":   {method: "POST", path: "apps/1517776481860111/deeds", body: `{"does":"extends","customer":"1","for":"2d"}`, status: 400, where: "body", why: "unknown unit"},
		"waits_too_long":  {method: "POST", path: "settle", body: `{"within":"31s"}`, status: 400, where: "body.within"},
		"unknown_filter":  {method: "GET", path: "ledger?sinc=1", status: 400, where: "query.sinc"},
		"twice":           {method: "GET", path: "ledger?since=1&since=2", status: 400, where: "query.since"},
		"unknown_kind":    {method: "GET", path: "ledger?kind=calls", status: 400, where: "query.kind", mend: "call, delivery or act"},
		"negative_number": {method: "GET", path: "ledger?since=-1", status: 400, where: "query.since"},
		"no_number":       {method: "GET", path: "ledger?since=x", status: 400, where: "query.since"},
		"window": {
			method: "POST", path: "inbox/deeds", body: `{"does":"replies","customer":"7000000000000001","text":"x"}`,
			status: 422, why: "outside the 7 days",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			status, body := controlled(t, w.Client(), tt.method, "http://x/_simulator/"+tt.path, tt.body, tt.headers...)
			var got struct {
				Error struct{ What, Where, Why, Mend string }
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			e := got.Error
			if status != tt.status || e.What == "" || e.Why == "" || e.Where != tt.where || !strings.Contains(e.Why, tt.why) || !strings.Contains(e.Mend, tt.mend) {
				t.Errorf("%d %+v, want %d, where %q, why %q, mend %q", status, e, tt.status, tt.where, tt.why, tt.mend)
			}
		})
	}
}

// A reader of the ledger waits for what it asked for, and no longer than it said.
func TestLedgerIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *simulator.Options) { o.Now = nil })
		w.says("hello")
		w.told()
		type page struct {
			Entries []simulator.Entry
			Seq     int64
		}
		read := func(query string) (p page) {
			status, body := controlled(t, w.Client(), "GET", "http://x/_simulator/ledger?"+query, "")
			if err := json.Unmarshal([]byte(body), &p); err != nil || status != http.StatusOK {
				t.Errorf("%d %s: %v", status, body, err)
			}
			return p
		}
		begun := time.Now()
		if p := read("since=2&wait=30s"); len(p.Entries) != 0 || p.Seq != 2 || time.Since(begun) != 30*time.Second {
			t.Errorf("read %+v after %v, want nothing after 30s", p, time.Since(begun))
		}
		done := make(chan page)
		go func() { done <- read("since=2&wait=30s&kind=call&edge=messages") }()
		synctest.Wait()
		w.says("again") // an act and a delivery: neither is asked for
		w.post("messages", `"sender_action":"typing_on"`)
		if p := <-done; len(p.Entries) != 1 || p.Entries[0].Call == nil || p.Entries[0].Call.Action != "typing_on" || p.Seq < p.Entries[0].Seq {
			t.Errorf("read %+v, want the call", p)
		}
	})
}

// A long ledger is read page by page, and nothing is missed.
func TestLedgerInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.Webhook, o.LedgerSize = nil, 2100 })
	for range 3000 {
		w.says("x")
	}
	var since, seen int64
	for range 4 {
		_, body := controlled(t, w.Client(), "GET", fmt.Sprintf("http://x/_simulator/ledger?since=%d", since), "")
		var p struct {
			Entries []simulator.Entry
			Seq     int64
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) > 1000 {
			t.Errorf("an answer has %d entries, want 1000 at most", len(p.Entries))
		}
		for i, e := range p.Entries {
			if i > 0 && e.Seq != p.Entries[i-1].Seq+1 {
				t.Fatalf("entry %d follows %d", e.Seq, p.Entries[i-1].Seq)
			}
		}
		seen, since = seen+int64(len(p.Entries)), p.Seq
	}
	if seen != 2100 || since != 3000 {
		t.Errorf("read %d entries up to %d, want the newest 2100 up to 3000", seen, since)
	}
}

// The ledger is read by kind, app, customer and edge, alone and together.
func TestLedgerFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OtherApp(desk)
	w.says("hello") // an act, and a delivery to the bot
	w.told()
	if _, err := w.Customer("2").Says("hello too"); err != nil { // the same
		t.Fatal(err)
	}
	w.told()
	w.post("pass_thread_control", `"target_app_id":"2262510160704936"`) // a call
	_, _ = w.OtherApp(desk).Send("2", "mine?")                          // a call that is refused
	for query, want := range map[string]int{
		"": 6, "kind=act": 2, "kind=delivery": 2, "kind=call": 2, "app=" + string(desk): 1, "app=" + string(bot): 3,
		"customer=2": 3, "customer=" + string(ann): 3, "customer=3": 0, "edge=messages": 1, "edge=pass_thread_control": 1,
		"kind=delivery&customer=2": 1, "kind=call&app=" + string(desk) + "&customer=" + string(ann): 0,
	} {
		_, body := controlled(t, w.Client(), "GET", "http://x/_simulator/ledger?"+query, "")
		var p struct{ Entries []simulator.Entry }
		if err := json.Unmarshal([]byte(body), &p); err != nil || len(p.Entries) != want {
			t.Errorf("?%s: %d entries, want %d: %s", query, len(p.Entries), want, body)
		}
	}
}

// What is patched stays until it is patched back, and nothing else changes.
func TestPatchFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	patch := func(body string) simulator.Faults {
		if status, answer := controlled(t, w.Client(), "PATCH", "http://x/_simulator/faults", body); status != http.StatusOK {
			t.Errorf("%s: %d %s", body, status, answer)
		}
		return w.Faults()
	}
	all := simulator.Faults{TokenDead: true, Latency: true, DroppedEchoes: 0.5, Duplicates: 2, Reorder: true}
	patch(`{"token_dead":true,"latency":"1h"}`)
	if diff := cmp.Diff(all, patch(`{"dropped_echoes":0.5,"duplicates":2,"reorder":true}`)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	patch(`{"latency":"0s"}`)
	if a := w.call("GET", "me", ""); a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
		t.Errorf("a dead token is answered with %d", a.status)
	}
	if diff := cmp.Diff(simulator.Faults{}, patch(`{"token_dead":false,"dropped_echoes":0,"duplicates":0,"reorder":false}`)); diff != "" {
		t.Errorf("faults at the end (-want +got):\n%s", diff)
	}
	w.call("GET", "me", "").wantOK(t)
}

func TestVerbsAreListed(t *testing.T) {
	t.Parallel()
	_, body := controlled(t, newWorld(t).Client(), "GET", "http://x/_simulator/verbs", "")
	for _, want := range []string{
		`{"does":"passes","needs":["customer"],"takes":["app","metadata"]}`, `{"does":"blocks","needs":[],"takes":[]}`, `"meta":[{"does":"assigns_roles"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("verbs lack %s: %s", want, body)
		}
	}
}

// Chaos is begun over HTTP, and healed.
func TestPatchChaos(t *testing.T) {
	t.Parallel()
	w, _ := stillWorld(t)
	status, body := controlled(t, w.Client(), "PATCH", "http://x/_simulator/faults", `{"chaos":{"seed":7,"every":"1s"}}`)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	failed := func() (n int) {
		for _, e := range w.Snapshot() {
			if e.Act != nil && strings.HasPrefix(e.Act.What, "fails ") {
				n++
			}
		}
		return n
	}
	if err := w.Forward(t.Context(), time.Minute); err != nil || failed() == 0 {
		t.Errorf("after a minute %d failures, %v", failed(), err)
	}
	if status, body := controlled(t, w.Client(), "DELETE", "http://x/_simulator/faults", ""); status != http.StatusOK || strings.Contains(body, "chaos") {
		t.Errorf("%d %s", status, body)
	}
	before := failed()
	if err := w.Forward(t.Context(), time.Minute); err != nil || failed() != before {
		t.Errorf("after it was healed %d failures more, %v", failed()-before, err)
	}
}
