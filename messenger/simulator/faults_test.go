package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

func TestFailure(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		failure simulator.Failure
		status  int // 0: the connection is cut
		code    int
		said    bool
		lost    bool
	}{
		"code":                   {failure: simulator.Failure{Code: 613}, status: 400, code: 613},
		"status_and_code":        {failure: simulator.Failure{Status: 503, Code: 2}, status: 503, code: 2},
		"cut_before":             {failure: simulator.Failure{Cut: true}},
		"answer_lost":            {failure: simulator.Failure{After: true}, said: true, lost: true},
		"error_after_success":    {failure: simulator.Failure{After: true, Status: 500, Code: 1}, status: 500, code: 1, said: true, lost: true},
		"cut_wins_over_a_status": {failure: simulator.Failure{After: true, Status: 500, Cut: true}, said: true, lost: true},
		"nothing_is_wrong":       {failure: simulator.Failure{}, status: 200, said: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.says("hello")
			w.FailNext(simulator.EdgeMessages, tt.failure)
			w.post("take_thread_control", "").wantOK(t) // another edge
			a, err := w.try("POST", "me/messages", `{"recipient":{"id":"`+string(ann)+`"},"message":{"text":"x"}}`)
			if cut := errors.Is(err, io.ErrUnexpectedEOF); cut != (tt.status == 0) {
				t.Fatalf("error = %v, want a cut connection: %v", err, tt.status == 0)
			}
			if code, _, _ := a.refused(); a.status != tt.status || tt.status != 200 && code != tt.code {
				t.Errorf("answer = %d code %d, want %d code %d", a.status, code, tt.status, tt.code)
			}
			if said := len(w.Transcript(ann)) == 2; said != tt.said {
				t.Errorf("said = %v, want %v", said, tt.said)
			}
			call := w.Calls(simulator.EdgeMessages)[0]
			if call.OK() != tt.said || call.AnswerLost != tt.lost || call.PSID != ann {
				t.Errorf("ledger = %+v, want success %v, answer lost %v", call, tt.said, tt.lost)
			}
			w.send("the next one is fine", "").wantOK(t)
		})
	}
}

func TestFailureBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.FailNext("", simulator.Failure{Status: 502, Body: "<html>", Header: http.Header{"retry-after": {"7"}}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://graph.example/me", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, res)
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "<html>" || res.StatusCode != http.StatusBadGateway || res.Header.Get("Retry-After") != "7" {
		t.Errorf("answer = %d %q %v %v", res.StatusCode, body, res.Header, err)
	}
}

func TestFailuresAreChosen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const bob messenger.PSID = "7000000000000002"
	w.says("hello")
	if _, err := w.Customer(bob).Says("hello"); err != nil {
		t.Fatal(err)
	}
	w.FailNext("messages", simulator.Failure{Code: 1, PSID: bob, Times: 2})
	w.FailNext("messages", simulator.Failure{Code: 2, PSID: bob, Times: -1})
	w.send("to ann", "").wantOK(t)
	for _, want := range []int{1, 1, 2, 2, 2} {
		w.call("POST", "me/messages", `{"recipient":{"id":"`+string(bob)+`"},"message":{"text":"x"}}`).want(t, 400, want, 0)
	}
	w.Heal()
	w.call("POST", "me/messages", `{"recipient":{"id":"`+string(bob)+`"},"message":{"text":"x"}}`).wantOK(t)
}

func TestChancesFollowTheSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (statuses []int, echoes int) {
		w := newWorld(t, func(o *simulator.Options) { o.Seed = seed })
		w.says("hello")
		w.told()
		w.FailNext("messages", simulator.Failure{Code: 2, Chance: 0.3, Times: -1})
		w.DropEchoes(0.5)
		for range 100 {
			statuses = append(statuses, w.send("x", "").status)
		}
		return statuses, len(w.told())
	}
	first, echoes := run(7)
	again, echoesAgain := run(7)
	other, _ := run(8)
	if diff := cmp.Diff(first, again); diff != "" || echoes != echoesAgain {
		t.Errorf("the same seed gave another run: %s, %d and %d echoes", diff, echoes, echoesAgain)
	}
	if cmp.Equal(first, other) {
		t.Error("another seed gave the same run")
	}
	failed := 0
	for _, s := range first {
		if s != http.StatusOK {
			failed++
		}
	}
	if failed < 15 || failed > 45 || echoes < 20 || echoes > 50 {
		t.Errorf("%d of 100 calls failed, %d echoes came, want about 30 and 35", failed, echoes)
	}
}

func TestDroppedEchoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.told()
	w.DropEchoesOf(func(l simulator.Line) bool { return l.Metadata == "drop" })
	w.post("messages", `"message":{"text":"a","metadata":"drop"}`).wantOK(t)
	w.post("messages", `"message":{"text":"b","metadata":"keep"}`).wantOK(t)
	w.wantTold(`messaging echo of bot "b" keep`)
	w.Heal()
	w.post("messages", `"message":{"text":"c","metadata":"drop"}`).wantOK(t)
	w.wantTold(`messaging echo of bot "c" drop`)
}

func TestHeldCall(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"before_it_takes_effect": false, "before_it_is_answered": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.says("hello")
			w.told()
			hold := make(chan struct{})
			w.FailNext("messages", simulator.Failure{Hold: hold, After: after, Status: map[bool]int{true: 200}[after], Body: map[bool]string{true: "{}"}[after]})
			done := make(chan answer)
			go func() {
				a, err := w.try("POST", "me/messages", `{"recipient":{"id":"`+string(ann)+`"},"message":{"text":"x"}}`)
				if err != nil {
					t.Error(err)
				}
				done <- a
			}()
			if after {
				if err := w.Wait(t.Context(), func() bool { return len(w.Transcript(ann)) == 2 }); err != nil {
					t.Fatal(err)
				}
			} else if n := len(w.Transcript(ann)); n != 1 {
				t.Errorf("transcript has %d lines while the call is held, want 1", n)
			}
			select {
			case <-done:
				t.Error("answered while held")
			default:
			}
			close(hold)
			if a := <-done; a.status != http.StatusOK {
				t.Errorf("status = %d", a.status)
			}
			if n := len(w.Transcript(ann)); n != 2 {
				t.Errorf("transcript has %d lines at the end, want 2", n)
			}
		})
	}
}

func TestCallerThatLeavesIsRecorded(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		w.says("hello")
		w.FailNext("messages", simulator.Failure{Delay: time.Minute})
		client := w.Client()
		client.Timeout = 8 * time.Second
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://graph.example/me/messages?access_token="+token, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := client.Do(req); err == nil {
			shut(t, res)
			t.Fatal("answered, want a timeout")
		}
		if err := w.Wait(t.Context(), func() bool { return len(w.Calls("messages")) == 1 }); err != nil {
			t.Fatal(err)
		}
		if call := w.Calls("messages")[0]; call.Status != 0 {
			t.Errorf("ledger = %+v, want status 0", call)
		}
	})
}

func TestLatency(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		w.Latency(func(edge string) time.Duration {
			return map[string]time.Duration{simulator.EdgePage: 3 * time.Second, simulator.EdgeWebhook: time.Second}[edge]
		})
		began := time.Now()
		w.call("GET", "me", "").wantOK(t)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("call took %v, want 3s", took)
		}
		w.says("hello")
		w.told()
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("delivery came at %v, want 4s", took)
		}
	})
}

// Over a socket, an answer that is lost is a connection that ends.
func TestCutOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	server := httptest.NewServer(w)
	defer server.Close()
	w.FailNext("messages", simulator.Failure{After: true})
	body := fmt.Sprintf(`{"recipient":{"id":%q},"message":{"text":"x"},"access_token":%q}`, ann, token)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v26.0/me/messages", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := server.Client().Do(req); err == nil {
		shut(t, res)
		t.Errorf("answered %d, want a cut connection", res.StatusCode)
	}
	if n := len(w.Transcript(ann)); n != 2 {
		t.Errorf("transcript has %d lines, want 2: it took effect", n)
	}
}

func TestClientReportsWhetherItWrote(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cancelled bool
		want      []string
	}{
		"written":            {want: []string{"get conn", "got conn", "wrote headers", "wrote request"}},
		"cancelled_too_soon": {cancelled: true, want: []string{"get conn"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var got []string
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.cancelled {
				cancel()
			}
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
				GetConn:      func(string) { got = append(got, "get conn") },
				GotConn:      func(httptrace.GotConnInfo) { got = append(got, "got conn") },
				WroteHeaders: func() { got = append(got, "wrote headers") },
				WroteRequest: func(httptrace.WroteRequestInfo) { got = append(got, "wrote request") },
			})
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://graph.example/me", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.do(req); (err != nil) != tt.cancelled {
				t.Errorf("error = %v, want one: %v", err, tt.cancelled)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLogIsToldInOrder(t *testing.T) {
	t.Parallel()
	var seqs []int64
	w := newWorld(t, func(o *simulator.Options) { o.Log = func(e simulator.Entry) { seqs = append(seqs, e.Seq) } })
	w.says("hello")
	w.told()
	w.send("hi", "").wantOK(t)
	w.told()
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, seqs); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// Customers, agents, apps and readers at once: nothing is lost, nothing comes
// twice, and each thread's events come in order.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const people, texts = 8, 25
	w := newWorld(t, func(o *simulator.Options) { o.Batch = 10 })
	w.AllowTake(desk, true)
	other := w.OtherApp(desk)
	var wg sync.WaitGroup
	for i := range people {
		psid := messenger.PSID(strconv.Itoa(100 + i))
		wg.Go(func() {
			for n := range texts {
				if _, err := w.Customer(psid).Says(strconv.Itoa(n)); err != nil {
					t.Error(err)
				}
				// Whether these two succeed depends on the others.
				_, _ = w.try("POST", "me/messages", fmt.Sprintf(`{"recipient":{"id":%q},"message":{"text":"x"}}`, psid))
				_ = other.Take(psid, "")
				_ = w.Agent().Done(psid)
				w.Transcript(psid)
				w.Snapshot()
			}
		})
	}
	wg.Wait()
	w.told()
	for i, e := range w.Snapshot() {
		if e.Seq != int64(i+1) {
			t.Fatalf("entry %d has seq %d", i, e.Seq)
		}
	}
	heard := map[messenger.PSID][]messenger.MessageID{}
	for _, d := range w.Deliveries(bot) {
		for _, e := range d.Events {
			if e.Kind == messenger.KindMessage {
				heard[e.PSID] = append(heard[e.PSID], e.MID)
			}
		}
	}
	for i := range people {
		psid := messenger.PSID(strconv.Itoa(100 + i))
		var said []messenger.MessageID
		for _, l := range w.Transcript(psid) {
			if l.From == simulator.FromCustomer {
				said = append(said, l.MID)
			}
		}
		if diff := cmp.Diff(said, heard[psid]); len(said) != texts || diff != "" {
			t.Errorf("%s said %d texts, the bot heard otherwise (-said +heard):\n%s", psid, len(said), diff)
		}
	}
}
