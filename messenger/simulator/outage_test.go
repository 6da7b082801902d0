package simulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

// usage reads the usage headers: of the Page, and of the app.
func (a answer) usage(t *testing.T) (business, app map[string]any) {
	t.Helper()
	var header map[messenger.PageID][]map[string]any
	for name, v := range map[string]any{"X-Business-Use-Case-Usage": &header, "X-App-Usage": &app} {
		if err := json.Unmarshal([]byte(a.header.Get(name)), v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return header[page][0], app
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	for _, code := range []int{4, 17, 32, 613, 80001, 80006} {
		for pass, regain := range map[time.Duration]float64{0: 10, 3*time.Minute + time.Second: 7} {
			w := newWorld(t)
			w.FailNext("", simulator.Failure{Code: code, For: 10 * time.Minute})
			w.pass(pass)
			a := w.call("GET", "me", "")
			a.want(t, 400, code, 0)
			business, app := a.usage(t)
			if business["call_count"] != 100.0 || business["type"] != "messenger" || app["call_count"] != 100.0 {
				t.Errorf("usage = %v and %v, want 100 %%", business, app)
			}
			if got := business["estimated_time_to_regain_access"]; got != regain {
				t.Errorf("after %v access comes back in %v minutes, want %v", pass, got, regain)
			}
		}
		w := newWorld(t)
		w.FailNext("", simulator.Failure{Code: code, For: 10 * time.Minute})
		w.pass(10*time.Minute - time.Millisecond)
		w.call("GET", "me", "").want(t, 400, code, 0)
		w.pass(time.Millisecond)
		w.call("GET", "me", "").wantOK(t)
	}
	w := newWorld(t)
	w.FailNext("", simulator.Failure{Code: 2, For: time.Minute})
	if a := w.call("GET", "me", ""); a.header.Get("X-Business-Use-Case-Usage") != "" {
		t.Errorf("headers = %v, want no usage with a code that is no throttle", a.header)
	}
}

func TestRevokedToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.RevokeToken()
	w.send("x", "").want(t, http.StatusUnauthorized, 190, 463)
	get := func(bearer string) answer {
		t.Helper()
		a, err := w.do(w.request("GET", "me?access_token="+bearer, ""))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	get("never was one").want(t, http.StatusUnauthorized, 190, 0)
	get("").want(t, 400, 104, 0)
	if calls := w.Calls(); calls[len(calls)-1].App != "" {
		t.Errorf("a call without a token is %s's", calls[len(calls)-1].App)
	}
	w.SetPageToken("new")
	get("new").wantOK(t)
	w.send("x", "").want(t, http.StatusUnauthorized, 190, 463) // still the old one
	w.SetPageToken("newer")
	get("new").want(t, http.StatusUnauthorized, 190, 463)
	w.RevokeToken()
	w.RevokeToken()
	get("newer").want(t, http.StatusUnauthorized, 190, 463)
	w.Heal()
	get("newer").wantOK(t)
}

func TestHungCall(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"before_it_takes_effect": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				t := w.t
				w.says("hello")
				w.FailNext("messages", simulator.Failure{Hang: true, After: after})
				req := w.request("POST", "me/messages", `{"recipient":{"id":"`+string(ann)+`"},"message":{"text":"x"}}`)
				req.Header.Set("Authorization", "Bearer "+token)
				ctx, leave := context.WithTimeout(t.Context(), time.Hour)
				defer leave()
				began := time.Now()
				if _, err := w.do(req.WithContext(ctx)); err == nil || time.Since(began) != time.Hour {
					t.Errorf("the call ended after %v with %v, want it to hang until the caller leaves", time.Since(began), err)
				}
				if err := w.Wait(t.Context(), func() bool { return len(w.Calls("messages")) == 1 }); err != nil {
					t.Fatal(err)
				}
				call := w.Calls("messages")[0]
				if said := len(w.Transcript(ann)) == 2; said != after || call.OK() != after || call.AnswerLost != after {
					t.Errorf("said = %v, ledger = %+v, want success %v", said, call, after)
				}
				w.send("the next one is fine", "").wantOK(t)
			})
		})
	}
}

// Over a socket, a hung call ends when the caller leaves, or with the Page.
func TestHungCallOverHTTP(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"the_caller_leaves": true, "the_page_closes": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.says("hello")
			server := httptest.NewServer(w)
			defer server.Close() // waits for the handler
			w.FailNext("messages", simulator.Failure{Hang: true, After: true})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			body := fmt.Sprintf(`{"recipient":{"id":%q},"message":{"text":"x"},"access_token":%q}`, ann, token)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/me/messages", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() {
				res, err := server.Client().Do(req)
				if err == nil {
					shut(t, res)
				}
				ended <- err
			}()
			if err := w.Wait(t.Context(), func() bool { return len(w.Transcript(ann)) == 2 }); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				t.Fatalf("the call ended with %v, want it to hang", err)
			default:
			}
			if leaves {
				leave()
			} else {
				w.Close()
			}
			if err := <-ended; err == nil {
				t.Error("the call was answered")
			}
		})
	}
}

// attempts writes the deliveries to the bot: when they ended, and how.
func (w *world) attempts(since time.Time) (lines []string) {
	for _, e := range w.Snapshot() {
		if e.Delivery == nil {
			continue
		}
		d := e.Delivery
		line := e.At.Sub(since).String()
		switch {
		case d.AnswerLost:
			line += " answered, but lost"
		case d.Error != "":
			line += " " + d.Error
		default:
			line += " answered"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestDeliveriesFail(t *testing.T) {
	t.Parallel()
	const bob messenger.PSID = "7000000000000002"
	one, two := `messaging message "one"`, `messaging message "two"`
	tests := map[string]struct {
		failure  simulator.Failure
		heard    []string
		attempts []string
	}{
		"cut":           {simulator.Failure{Cut: true}, []string{one, two}, []string{"0s the connection was cut", "0s answered", "0s answered"}},
		"answer_lost":   {simulator.Failure{After: true}, []string{one, one, two}, []string{"0s answered, but lost", "0s answered", "0s answered"}},
		"hangs":         {simulator.Failure{Hang: true}, []string{one, two}, []string{"5s the connection was cut", "5s answered", "5s answered"}},
		"hangs_after":   {simulator.Failure{Hang: true, After: true}, []string{one, one, two}, []string{"5s answered, but lost", "5s answered", "5s answered"}},
		"lost":          {simulator.Failure{Lost: true}, []string{two}, []string{"0s lost on the way", "0s answered"}},
		"late":          {simulator.Failure{Delay: time.Minute}, []string{two, one}, []string{"0s answered", "1m0s answered"}},
		"all_are_late":  {simulator.Failure{Delay: time.Minute, Times: -1}, []string{two, one}, []string{"1m0s answered", "1m0s answered"}},
		"of_the_second": {simulator.Failure{Lost: true, PSID: bob}, []string{one}, []string{"0s answered", "0s lost on the way"}},
		"of_a_channel": {
			simulator.Failure{Lost: true, If: func(e simulator.Told) bool { return e.Channel == simulator.Standby }},
			[]string{one, two},
			[]string{"0s answered", "0s answered"},
		},
		"of_a_kind": {
			simulator.Failure{Lost: true, Times: -1, If: func(e simulator.Told) bool { return e.Kind == messenger.KindMessage }},
			nil,
			[]string{"0s lost on the way", "0s lost on the way"},
		},
		"of_the_bot":     {simulator.Failure{Lost: true, App: bot}, []string{two}, []string{"0s lost on the way", "0s answered"}},
		"of_another_app": {simulator.Failure{Lost: true, App: desk}, []string{one, two}, []string{"0s answered", "0s answered"}},
		"until_it_is_over": {simulator.Failure{Cut: true, For: 7 * time.Second}, []string{one, two}, []string{
			"0s the connection was cut", "0s the connection was cut", "0s the connection was cut", "0s the connection was cut",
			"5s the connection was cut", "20s answered", "20s answered",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				t := w.t
				began := time.Now()
				w.FailNext(simulator.EdgeWebhook, tt.failure)
				w.says("one")
				if _, err := w.Customer(bob).Says("two"); err != nil {
					t.Fatal(err)
				}
				heard := w.told()
				if name == "all_are_late" { // both are due at once, in either order
					heard, tt.heard = nil, nil
				}
				if diff := cmp.Diff(tt.heard, heard); diff != "" {
					t.Errorf("heard (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.attempts, w.attempts(began)); diff != "" {
					t.Errorf("attempts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What fails on every edge leaves the deliveries alone, and the other way round.
func TestEveryEdgeIsNotTheWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.FailNext("", simulator.Failure{Lost: true, Times: -1})
	w.says("hello")
	w.wantTold(`messaging message "hello"`)
	w.Heal()
	w.FailNext(simulator.EdgeWebhook, simulator.Failure{Lost: true, Times: -1})
	w.send("x", "").wantOK(t)
	w.wantTold()
}

func TestFailuresOfOneApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.FailNext("", simulator.Failure{Code: 2, App: desk, Times: -1})
	w.call("GET", "me", "").wantOK(t)
	a, err := w.do(w.request("GET", "me?access_token="+w.OtherApp(desk).Token(), ""))
	if err != nil {
		t.Fatal(err)
	}
	a.want(t, 400, 2, 0)
}

func TestFaultsAreToldAndHealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := func() string {
		b, err := json.Marshal(w.Faults())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got() != `{}` {
		t.Errorf("faults = %s at the start, want none", got())
	}
	w.FailNext("messages", simulator.Failure{Code: 2, Times: 3})
	w.FailNext("pass_thread_control", simulator.Failure{Delay: 2 * time.Second})
	w.FailNext("", simulator.Failure{Code: 80006, For: 90 * time.Second})
	w.FailNext("", simulator.Failure{Code: 4, For: 30 * time.Second})
	w.RevokeToken()
	w.Latency(func(string) time.Duration { return 0 })
	w.DropEchoes(0.5)
	w.DropEchoesOf(func(simulator.Line) bool { return false })
	w.DuplicateDeliveries(2)
	w.Reorder(true)
	w.HoldDeliveries()
	w.pass(30 * time.Second)
	if n := len(w.Faults().Failures); n != 3 {
		t.Errorf("%d failures are armed, want those that are not over", n)
	}
	w.send("x", "").want(t, 400, 2, 0)
	w.call("GET", "me", "").want(t, 400, 80006, 0)
	want := `{"failures":[{"edge":"messages","failure":{"code":2,"times":2}},` +
		`{"edge":"pass_thread_control","failure":{"times":1,"delay":"2s"}},` +
		`{"failure":{"code":80006,"times":-1,"for":"1m30s"},"until":"2026-11-21T10:01:30Z"}],` +
		`"token_dead":true,"latency":true,"dropped_echoes":0.5,"chosen_echoes":true,"duplicates":2,"reorder":true,"held":true}`
	if got() != want {
		t.Errorf("faults = %s\nwant     %s", got(), want)
	}
	w.Heal()
	if got() != `{"held":true}` {
		t.Errorf("faults = %s after Heal, want held deliveries only", got())
	}
	w.send("x", "").want(t, 400, 10, 2018278) // nothing else is wrong with it
}

func TestArmedFailuresAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 1500 {
		w.FailNext("messages", simulator.Failure{Code: i})
	}
	armed := w.Faults().Failures
	if n := len(armed); n != 1000 || armed[0].Failure.Code != 500 {
		t.Errorf("%d failures are armed, the oldest with code %d, want the newest 1000", n, armed[0].Failure.Code)
	}
}

func TestFailureInJSON(t *testing.T) {
	t.Parallel()
	want := simulator.Failure{
		Status: 503, Code: 2, Subcode: 3, Message: "m", Body: "b", Header: http.Header{"A": {"b"}}, Cut: true, Hang: true, After: true, Lost: true,
		Times: 4, Chance: 0.5, For: time.Minute, App: bot, PSID: ann, Delay: 1500 * time.Millisecond,
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got simulator.Failure
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is read otherwise (-want +got):\n%s", b, diff)
	}
	for body, want := range map[string]string{
		`{"colour":"red"}`: "unknown field",
		`{"status":199}`:   "status 199",
		`{"status":600}`:   "status 600",
		`{"chance":1.5}`:   "chance 1.5",
		`{"chance":-1}`:    "chance -1",
		`{"delay":"-1s"}`:  "before now",
		`{"for":7}`:        "cannot unmarshal",
		`{"for":"soon"}`:   "invalid duration",
	} {
		var f simulator.Failure
		if err := json.Unmarshal([]byte(body), &f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want %q", body, err, want)
		}
	}
}
