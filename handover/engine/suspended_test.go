package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/simulator"
)

// is good again, and what waited is said.
func TestDeadToken(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e, _ := w.serve()
		w.metas[page].RevokeToken()
		for n := range 20 {
			w.says(page, person(n), "two")
			pass(time.Second)
		}
		w.says(other, person(0), "hours")
		pass(3 * time.Hour)
		w.wantHeard(other, person(0), openHours)
		if s := e.Status()[0]; s.State != engine.Suspended || !strings.Contains(s.Reason, "190/463") {
			t.Errorf("Status() = %+v, want it suspended", s)
		}
		if n := w.calls(page, simulator.EdgeMessages); n != 1 {
			t.Errorf("%d messages were tried with a dead token, want 1", n)
		}
		if n := w.calls(page, simulator.EdgePage); n < 30 || n > 60 {
			t.Errorf("in three hours the token was tried %d times, want every few minutes", n)
		}
		alarms := w.logged("error", "")
		if len(alarms) != 1 || !strings.Contains(alarms[0], string(page)) || !strings.Contains(alarms[0], `"code":190`) || !strings.Contains(alarms[0], "generate a new token") {
			t.Errorf("the log has the errors %q, want one with Page, code and mend", alarms)
		}
		w.metas[page].Heal()
		pass(7 * time.Minute)
		for n := range 20 {
			w.wantHeard(page, person(n), "one of two", "two of two")
		}
		if s := e.Status()[0]; s.State != engine.Open {
			t.Errorf("Status() = %+v, want it open", s)
		}
	})
}

// Who is started with a new token goes on at once.
func TestNewTokenGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		_, stop := w.serve()
		w.metas[page].RevokeToken()
		w.says(page, person(0), "hours")
		pass(time.Hour)
		w.wantHeard(page, person(0))
		stop()
		w.token = "another-token"
		w.metas[page].SetPageToken(w.token)
		w.metas[other].SetPageToken(w.token)
		w.serve()
		w.wantHeard(page, person(0), openHours)
	})
}

// reason; who asked for a person gets one.
func TestDayWithADeadToken(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve(func(o *engine.Options) {
			p := o.Pages[page]
			p.Rules.TimeLimit = 0
			o.Pages[page] = p
		})
		w.metas[page].RevokeToken()
		w.says(page, person(0), "two")
		w.says(page, person(1), "human")
		pass(23 * time.Hour)
		if expired := w.outcomes(person(0), "expired"); len(expired) > 0 {
			t.Errorf("%q expired within Meta's window", expired)
		}
		pass(2 * time.Hour)
		if expired := w.outcomes(person(0), "expired: Meta's 24 hours"); !slices.Equal(expired, []string{"answer"}) {
			t.Errorf("expired: %q, want the answer", expired)
		}
		if expired := w.outcomes(person(1), "expired"); len(expired) > 0 {
			t.Errorf("expired: %q, though a person was asked for", expired)
		}
		w.metas[page].Heal()
		pass(10 * time.Minute)
		w.wantHeard(page, person(0))
		if owner, _ := w.metas[page].Owner(person(1)); owner != "263902037430900" {
			t.Errorf("who asked for a person has %q, want the inbox", owner)
		}
		w.says(page, person(2), "hours")
		pass(time.Second)
		w.wantHeard(page, person(2), openHours)
	})
}

// A Page that Meta restricts is tried now and then with one message.
func TestRestrictedPage(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		e, _ := w.serve()
		w.metas[page].FailNext(simulator.EdgeMessages, simulator.Failure{Code: 10, Subcode: 1893063, For: time.Hour})
		for n := range 3 { // soon all have been refused
			w.says(page, person(n), "hours")
		}
		pass(time.Second)
		burst := w.calls(page, simulator.EdgeMessages)
		pass(55 * time.Minute)
		if n := w.calls(page, simulator.EdgeMessages) - burst; n < 8 || n > 18 {
			t.Errorf("a restricted Page tried %d messages in an hour, want one every few minutes", n)
		}
		if s := e.Status()[0]; s.State != engine.Suspended {
			t.Errorf("Status() = %+v, want it suspended", s)
		}
		if alarms := w.logged("error", ""); len(alarms) != 1 || !strings.Contains(alarms[0], "Page quality") {
			t.Errorf("the log has the errors %q, want one", alarms)
		}
		pass(12 * time.Minute)
		for n := range 3 {
			w.wantHeard(page, person(n), openHours)
		}
	})
}

// One customer of whom Meta takes nothing stops the Page once, and not for ever.
func TestOneCustomerDoesNotStopThePage(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"limit": 613, "permission": 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTown(t, func(w *town) {
				e, _ := w.serve()
				w.metas[page].FailNext("", simulator.Failure{Code: code, PSID: person(0), For: 48 * time.Hour})
				w.says(page, person(0), "hours")
				pass(time.Second)
				w.says(page, person(1), "hours")
				pass(time.Second)
				w.wantHeard(page, person(1))
				pass(48 * time.Hour)
				w.wantHeard(page, person(1), openHours)
				began := len(w.logged("warn", "wait in the outbox")) + len(w.logged("error", "they wait in the outbox"))
				if began != 1 {
					t.Errorf("the Page was stopped %d times, want once", began)
				}
				if s := e.Status()[0]; s.State != engine.Open {
					t.Errorf("Status() = %+v, want it open", s)
				}
			})
		})
	}
}

// A way back that Meta refuses with all else is one call, and comes about later.
func TestWayBackWithADeadToken(t *testing.T) {
	t.Parallel()
	inTown(t, func(w *town) {
		w.serve()
		w.says(page, person(0), "human")
		pass(time.Minute)
		w.metas[page].RevokeToken()
		before := w.calls(page)
		w.says(page, person(0), "bot")
		pass(10 * time.Second)
		if n := w.calls(page) - before; n != 1 {
			t.Errorf("%d calls were made with a dead token, want the take alone", n)
		}
		_, _, pending, _, err := w.store.Thread(w.t.Context(), messenger.ThreadKey{Page: page, PSID: person(0)})
		if err != nil || len(pending) != 2 {
			t.Fatalf("%q are pending, %v, want the take and its words", pending, err)
		}
		for _, body := range pending {
			if f, err := engine.UnmarshalPending(body); err != nil || f.Attempts != 0 {
				t.Errorf("pending: %+v, %v, want no attempt counted", f, err)
			}
		}
		w.metas[page].Heal()
		pass(10 * time.Minute)
		w.wantHeard(page, person(0), passingOn, "I am back.")
	})
}
