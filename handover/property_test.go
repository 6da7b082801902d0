package handover_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/handover"
)

// TestHistories plays random histories. What must hold after every decision is
// checked by the shell; here, that everything comes to an end.
func TestHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			h.next()
		}
		h.drain()
	})
}

// history draws what happens to a thread.
type history struct {
	*shell

	t   *rapid.T
	now time.Time
}

func newHistory(t *rapid.T) *history {
	h := &history{t: t, now: firstDay.Add(10 * time.Hour)}
	h.shell = newShell(t, func(line string) { t.Log("    > " + line) })
	h.rules = handover.Rules{
		Target:            "263902037430900",
		TimeLimit:         rapid.SampledFrom([]time.Duration{0, 30 * time.Minute, 72 * time.Hour}).Draw(t, "limit"),
		LimitFrom:         rapid.SampledFrom([]handover.LimitFrom{"", handover.FromAgent, handover.FromHandoff, handover.FromAny}).Draw(t, "from"),
		Reopen:            rapid.SampledFrom([]time.Duration{0, time.Hour, 96 * time.Hour}).Draw(t, "reopen"),
		HandoffKeywords:   []string{"human"},
		BackKeywords:      []string{"bot"},
		Misunderstandings: rapid.IntRange(0, 2).Draw(t, "misses"),
		HonourRequests:    rapid.Bool().Draw(t, "requests"),
		ZeroConfig:        rapid.Bool().Draw(t, "zero_config"),
	}
	return h
}

// next draws the next thing that happens.
func (h *history) next() {
	h.now = h.now.Add(rapid.SampledFrom([]time.Duration{
		0, 400 * time.Millisecond, time.Second, 4 * time.Second, time.Minute, 16 * time.Minute, 5 * time.Hour, 25 * time.Hour,
	}).Draw(h.t, "later"))
	h.verdict = handover.Answered{
		Said: rapid.Bool().Draw(h.t, "said"), Missed: rapid.Bool().Draw(h.t, "missed"), Handoff: rapid.IntRange(0, 4).Draw(h.t, "handoff") == 0,
	}
	if wake := h.state.Wake(); !wake.IsZero() && !wake.After(h.now) && rapid.Bool().Draw(h.t, "woken") {
		h.happen(handover.Tick{})
	}
	switch {
	case len(h.outbox) > 0 && rapid.IntRange(0, 5).Draw(h.t, "sent") == 0:
		h.send()
	case len(h.outbox) > 0 && rapid.Bool().Draw(h.t, "ended"):
		h.endNext()
	default:
		h.happen(h.event())
	}
}

func (h *history) happen(ev handover.Event) {
	h.t.Logf("%s %T%+v", h.now.Format(time.TimeOnly), ev, ev)
	h.decide(ev, h.now)
	h.t.Logf("    = %+v", h.state)
}

func (h *history) endNext() {
	outcome := handover.OK
	if rapid.IntRange(0, 2).Draw(h.t, "fails") == 0 {
		outcome = rapid.SampledFrom([]handover.Outcome{
			handover.NotOwner, handover.Refused, handover.OutsideWindow, handover.Unreachable, handover.BadParameter, handover.Failed,
		}).Draw(h.t, "outcome")
	}
	holder := rapid.SampledFrom([]handover.Holder{handover.HeldByOther, handover.HeldByUs, handover.HeldByNobody}).Draw(h.t, "holder")
	h.end(outcome, holder, h.now)
	h.t.Logf("    = %+v", h.state)
}

// drain ends all calls: then nothing may be awaited any more.
func (h *history) drain() {
	for calls := 0; len(h.outbox) > 0; calls++ {
		if calls > 200 {
			h.t.Fatalf("calls lead to calls without end: %+v", h.state)
		}
		h.now = h.now.Add(time.Second)
		h.endNext()
	}
	if h.state.Awaiting != handover.AwaitingNothing || len(h.parked) > 0 {
		h.t.Fatalf("%q is awaited for ever, and %d events with it", h.state.Awaiting, len(h.parked))
	}
}

// event draws an event of any kind.
func (h *history) event() handover.Event {
	at := h.metaTime()
	app := rapid.SampledFrom([]string{"42", h.rules.Target})
	events := []func() handover.Event{
		h.act, h.act, h.act, h.act, h.act,
		func() handover.Event {
			return handover.AgentSpoke{At: at, Found: rapid.IntRange(0, 3).Draw(h.t, "found") == 0}
		},
		func() handover.Event { return handover.ControlPassed{ToUs: true, At: at} },
		func() handover.Event { return handover.ControlPassed{To: app.Draw(h.t, "to"), At: at} },
		func() handover.Event { return handover.ControlTaken{ByUs: rapid.Bool().Draw(h.t, "by_us"), At: at} },
		func() handover.Event { return handover.ControlRequested{By: app.Draw(h.t, "by"), At: at} },
		func() handover.Event { return handover.OwnEcho{} },
		func() handover.Event { return handover.Tick{} },
		func() handover.Event { verdict := h.verdict; verdict.At = at; return verdict },
		func() handover.Event {
			return handover.Commanded{Command: rapid.SampledFrom([]handover.Command{
				handover.CommandPass, handover.CommandTake, handover.CommandRelease,
			}).Draw(h.t, "command")}
		},
	}
	return events[rapid.IntRange(0, len(events)-1).Draw(h.t, "event")]()
}

// act draws something that a customer does.
func (h *history) act() handover.Event {
	acts := slices.Sorted(func(yield func(handover.Act) bool) {
		for _, act := range acts {
			if !yield(act) {
				return
			}
		}
	})
	e := handover.CustomerActed{
		Act:     rapid.SampledFrom(acts).Draw(h.t, "act"),
		Standby: rapid.IntRange(0, 2).Draw(h.t, "standby") == 0,
		At:      h.metaTime(),
		TooLate: rapid.IntRange(0, 9).Draw(h.t, "too_late") == 0,
	}
	if e.Act == handover.ActText || e.Act == handover.ActQuickReply {
		e.Text = rapid.SampledFrom([]string{"hello", "human", "bot", "i hate this bot"}).Draw(h.t, "text")
	}
	if e.Act == handover.ActQuickReply || e.Act == handover.ActPostback || e.Act == handover.ActReferral {
		e.Payload = rapid.SampledFrom([]string{
			"FLOW", handover.PayloadHandoff, handover.PayloadHandoffMenu, handover.PayloadBack, handover.PayloadBackMenu,
		}).Draw(h.t, "payload")
	}
	return e
}

// metaTime draws Meta's time of an event that arrives now: about now, older,
// in whole seconds, or unknown.
func (h *history) metaTime() time.Time {
	switch rapid.IntRange(0, 9).Draw(h.t, "meta_time") {
	case 0:
		return time.Time{}
	case 1:
		return h.now.Truncate(time.Second)
	case 2:
		return h.now.Add(-time.Duration(rapid.IntRange(1, 90_000).Draw(h.t, "late")) * time.Second)
	default:
		return h.now.Add(-time.Duration(rapid.IntRange(0, 1500).Draw(h.t, "late")) * time.Millisecond)
	}
}
