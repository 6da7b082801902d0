package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

func TestWebhookIsVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.VerifyWebhook(t.Context()); err != nil {
		t.Error(err)
	}
	w = newWorld(t, func(o *simulator.Options) { o.VerifyToken = "wrong" })
	if err := w.VerifyWebhook(t.Context()); err == nil {
		t.Error("a wrong verify token was accepted")
	}
	w.Listen(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if err := w.VerifyWebhook(t.Context()); err == nil {
		t.Error("a webhook that does not return the challenge was accepted")
	}
	w.Listen(nil)
	if err := w.VerifyWebhook(t.Context()); err == nil {
		t.Error("nobody's webhook was verified")
	}
}

func TestWebhooksGoOverHTTPToo(t *testing.T) {
	t.Parallel()
	ear := &ear{t: t, secret: "app-secret"}
	server := httptest.NewServer(ear)
	w := newWorld(t, func(o *simulator.Options) { o.Webhook, o.WebhookURL = nil, server.URL+"/webhook" })
	t.Cleanup(func() {
		w.Close()
		server.Close()
	})
	if err := w.VerifyWebhook(t.Context()); err != nil {
		t.Error(err)
	}
	w.says("hello")
	w.told()
	if diff := cmp.Diff([]string{`messaging message "hello"`}, ear.take()); diff != "" {
		t.Error(diff)
	}
}

// A receiver that signs what it parsed and wrote again must fail.
func TestWebhooksAreEscapedAsMetaDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("ü/👍")
	w.told()
	if !bytes.Contains(w.ear.last(), []byte(`"\u00fc\/\ud83d\udc4d"`)) {
		t.Errorf("body = %s, want ASCII with escaped slashes", w.ear.last())
	}
}

func TestAppIDs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		form      simulator.AppIDs
		str, bare bool
	}{
		"strings": {form: simulator.AppIDsStrings, str: true},
		"numbers": {form: simulator.AppIDsNumbers, bare: true},
		"mixed":   {form: simulator.AppIDsMixed, str: true, bare: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *simulator.Options) { o.AppIDs = tt.form })
			w.says("hello")
			w.post("take_thread_control", "").wantOK(t)
			if err := w.Agent().MovesToMain(ann); err != nil { // a control event has two ids, and one beside it
				t.Fatal(err)
			}
			w.told()
			body := w.ear.last()
			str := bytes.Contains(body, []byte(`app_id":"`))
			bare := bytes.Contains(body, []byte(`app_id":1`)) || bytes.Contains(body, []byte(`app_id":2`))
			if str != tt.str || bare != tt.bare {
				t.Errorf("strings %v, numbers %v, want %v, %v: %s", str, bare, tt.str, tt.bare, body)
			}
		})
	}
}

func TestControlEventsOnTheWire(t *testing.T) {
	t.Parallel()
	for name, seconds := range map[string]bool{"milliseconds": false, "seconds": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doubt(func(d *simulator.Doubts) { d.ControlInSeconds = seconds }), idsAsStrings)
			w.says("hello")
			w.told()
			if err := w.OtherApp(desk).Pass(ann, bot, "m"); err != nil {
				t.Fatal(err)
			}
			w.told()
			var body heardBody
			if err := json.Unmarshal(w.ear.last(), &body); err != nil {
				t.Fatal(err)
			}
			want := w.clock().UnixMilli()
			if seconds {
				want = w.clock().Unix()
			}
			if got := body.Entry[0].Messaging[0].Timestamp; got != want {
				t.Errorf("timestamp = %d, want %d", got, want)
			}
			if diff := cmp.Diff(any([]any{map[string]any{"app_id": string(bot), "metadata": "m"}}), body.Entry[0].Hop); diff != "" {
				t.Errorf("hop_context (-want +got):\n%s", diff)
			}
			if !bytes.Contains(w.ear.last(), []byte(`"previous_owner_app_id":null`)) {
				t.Errorf("body = %s, want null for who had control", w.ear.last())
			}
		})
	}
}

// bubble runs f in virtual time, with the real clock of that time.
func bubble(t *testing.T, f func(w *world), edits ...func(*simulator.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, append([]func(*simulator.Options){func(o *simulator.Options) { o.Now = nil }}, edits...)...)
		f(w)
		w.Close()
	})
}

func TestRetries(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		began := time.Now()
		var tries []time.Duration
		w.ear.status = func() int {
			tries = append(tries, time.Since(began))
			if len(tries) <= 6 {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		w.says("hello")
		w.says("again")
		w.wantTold(`messaging message "hello"`, `messaging message "again"`) // in order
		want := []time.Duration{0, 0, 0, 0, 5 * time.Second, 20 * time.Second, 50 * time.Second, 50 * time.Second}
		if diff := cmp.Diff(want, tries); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		var attempts, status []int
		for _, d := range w.Deliveries(bot) {
			attempts, status = append(attempts, d.Attempt), append(status, d.Status)
		}
		if diff := cmp.Diff([]int{1, 2, 3, 4, 5, 6, 7, 1}, attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{503, 503, 503, 503, 503, 503, 200, 200}, status); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

func TestUnsubscribedAfterAnHourOfFailure(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		began := time.Now()
		status := http.StatusInternalServerError
		w.ear.status = func() int { return status }
		w.says("hello")
		if err := w.Wait(t.Context(), func() bool { _, lapsed := w.Subscribed(bot); return lapsed }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Hour || took > time.Hour+5*time.Minute {
			t.Errorf("unsubscribed after %v, want an hour and at most a retry", took)
		}
		status = http.StatusOK
		w.says("lost")
		w.wantTold()
		w.call("POST", "me/subscribed_apps?subscribed_fields=messages", "").wantOK(t)
		if _, lapsed := w.Subscribed(bot); lapsed {
			t.Error("still lapsed after it subscribed again")
		}
		w.says("back")
		w.wantTold(`messaging message "back"`)
	})
}

func TestOneSuccessEndsTheHour(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		began := time.Now()
		w.ear.status = func() int {
			if at := time.Since(began); at > 50*time.Minute && at < 60*time.Minute || at > 2*time.Hour {
				return http.StatusOK
			}
			return http.StatusInternalServerError
		}
		for range 20 {
			w.says("hello")
			time.Sleep(5 * time.Minute)
		}
		if _, lapsed := w.Subscribed(bot); lapsed {
			t.Error("unsubscribed, though no row of failures lasted an hour")
		}
		w.Close()
	})
}

func TestSlowWebhookTimesOut(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		began := time.Now()
		var tries atomic.Int32
		w.Listen(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if tries.Add(1) == 1 {
				<-r.Context().Done()
				return
			}
			rw.WriteHeader(http.StatusOK)
		}))
		w.says("hello")
		w.told()
		if got := time.Since(began); got != 5*time.Second {
			t.Errorf("repeated after %v, want 5s", got)
		}
		d := w.Deliveries(bot)
		if len(d) != 2 || d[0].Status != 0 || d[0].Error == "" || d[1].Status != http.StatusOK {
			t.Errorf("deliveries = %+v, want one without an answer, then one with", d)
		}
	})
}

func TestPanickingWebhookIsAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var tries atomic.Int32
	w.Listen(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if tries.Add(1) == 1 {
			panic("out of tea")
		}
	}))
	w.says("hello")
	w.told()
	if d := w.Deliveries(bot); len(d) != 2 || d[0].Status != 0 || d[1].Status != http.StatusOK {
		t.Errorf("deliveries = %+v, want a failure and a success", d)
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.HoldDeliveries()
	w.says("one")
	w.says("two")
	if err := w.OtherApp(desk).Pass(ann, messenger.PageInbox, ""); err != nil {
		t.Fatal(err)
	}
	w.says("three")
	if err := w.Agent().Done(ann); err != nil {
		t.Fatal(err)
	}
	w.says("four")
	if err := w.Agent().MovesToMain(ann); err != nil {
		t.Fatal(err)
	}
	w.wantTold() // held ones do not keep Settle waiting
	w.ReleaseDeliveries(100)
	w.wantTold(`messaging message "one"`, `messaging message "two"`, `standby message "three"`,
		`messaging pass inbox to bot "Pass thread control from Page Inbox"`, `messaging message "four"`, `messaging take bot to inbox ""`)
	var body heardBody
	if err := json.Unmarshal(w.ear.last(), &body); err != nil {
		t.Fatal(err)
	}
	if len(w.ear.bodies) != 1 || len(body.Entry) != 5 || len(body.Entry[0].Messaging) != 2 {
		t.Errorf("%d bodies, the last with %d entries, want one with 5: the first with two events, control events alone", len(w.ear.bodies), len(body.Entry))
	}
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.Batch = 2 })
	w.HoldDeliveries()
	for range 5 {
		w.says("x")
	}
	w.ReleaseDeliveries(0)
	w.told()
	var sizes []int
	for _, d := range w.Deliveries(bot) {
		sizes = append(sizes, len(d.Events))
	}
	if diff := cmp.Diff([]int{2, 2, 1}, sizes); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func TestDuplicatesAndDisorder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.DuplicateDeliveries(2)
	w.says("x")
	w.wantTold(`messaging message "x"`, `messaging message "x"`, `messaging message "x"`)

	w.DuplicateDeliveries(0)
	w.Reorder(true)
	w.HoldDeliveries()
	var sent, heard []messenger.MessageID
	for range 20 {
		sent = append(sent, w.says("y"))
	}
	w.ReleaseDeliveries(0)
	w.told()
	for _, d := range w.Deliveries(bot)[3:] {
		heard = append(heard, d.Events[0].MID)
	}
	if slices.Equal(sent, heard) {
		t.Error("20 events came in order, want them shuffled")
	}
	slices.Sort(sent)
	slices.Sort(heard)
	if !slices.Equal(sent, heard) {
		t.Errorf("heard %v, want each of %v once", heard, sent)
	}
}

func TestSettleWaitsForTheDeliveryUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun, answer := make(chan struct{}), make(chan struct{})
	w.Listen(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-answer
	}))
	w.says("hello")
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Settle(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Settle = %v while a delivery is under way, want canceled", err)
	}
	close(answer)
	if err := w.Settle(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t, began := w.t, time.Now()
		begun, ended := make(chan struct{}), make(chan struct{})
		w.Listen(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			close(ended)
		}))
		w.says("hello")
		<-begun
		w.Close()
		select {
		case <-ended:
		default:
			t.Error("Close returned before the webhook had ended")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v, want it to end the delivery", took)
		}
		w.Close() // twice is no harm
		w.says("after")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Settle(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Settle = %v, want canceled: what was said is not delivered", err)
		}
	})
}

// The timers of a clock of one's own are all stopped, or have run.
func TestCloseStopsTheTimers(t *testing.T) {
	t.Parallel()
	var running atomic.Int32
	w := newWorld(t, func(o *simulator.Options) {
		o.Retries = []time.Duration{time.Hour}
		o.After = func(time.Duration, func()) func() bool {
			running.Add(1)
			var once sync.Once
			return func() bool {
				once.Do(func() { running.Add(-1) })
				return true
			}
		}
	})
	w.ear.status = func() int { return http.StatusServiceUnavailable }
	w.says("hello")
	if err := w.Wait(t.Context(), func() bool { return len(w.Deliveries(bot)) == 1 }); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if n := running.Load(); n != 0 {
		t.Errorf("%d timers are running after Close, want none", n)
	}
}
