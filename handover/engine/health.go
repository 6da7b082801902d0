package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"usher/messenger"
	"usher/messenger/graph"
)

// State is how it stands with the calls of a Page. Of two troubles the greater
// State counts.
type State uint8

// The states. In the last three no calls are made, until after a while one is let
// through; when that puts words into a thread, all are.
const (
	Open        State = iota // calls are made
	Slow                     // Meta's allowance runs out: fewer words are said
	Unreachable              // Graph does not answer
	Limited                  // Meta takes no more calls for now; all processes are told
	Suspended                // Meta takes no calls until somebody mends the token, the app or the Page
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case Slow:
		return "slow"
	case Unreachable:
		return "unreachable"
	case Limited:
		return "limited"
	case Suspended:
		return "suspended"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText returns the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Bounds of what Meta's answers lead to.
const (
	// unreachableAfter is how many calls in a row go unanswered before it is not the
	// calls' fault.
	unreachableAfter = 5
	// From slowAt per cent of Meta's allowance on words go slower; from stopAt on
	// nothing goes.
	slowAt, stopAt = 80, 98
	// slowEnds keeps a Page slow until the allowance has recovered a little.
	slowEnds = 75
	// usageAge is for how long an answer tells how much is spent.
	usageAge = 5 * time.Minute
)

// pauseOf returns how long nothing is tried for the n-th time, from 0, where Meta
// does not say: twice as long each time.
func pauseOf(s State, n int) time.Duration {
	least, most := 2*time.Second, 15*time.Second
	switch s { //nolint:exhaustive // the others are no trouble
	case Limited:
		least, most = 30*time.Second, 15*time.Minute
	case Suspended:
		least, most = time.Minute, 5*time.Minute
	}
	return vary(min(least<<min(n, 10), most))
}

// trouble is what the end of a call says of its Page; the zero value is none.
type trouble struct {
	state State
	wait  time.Duration // as Meta asks; 0 where it does not
	why   string
	err   *graph.Error // where there is one, as there is where it is Suspended
}

// judge says what the end of a call means for its Page. Whatever Meta has a code
// for was answered, and so Graph can be reached.
func judge(err error) trouble {
	if err == nil {
		return trouble{}
	}
	t := trouble{why: err.Error()}
	answered := false
	if e, ok := errors.AsType[*graph.Error](err); ok {
		t.err, t.wait, answered = e, e.RetryAfter, e.Status/100 == 4 && e.Code != 0
	}
	switch {
	case errors.Is(err, graph.ErrRateLimited):
		t.state = Limited
	case t.err != nil && t.err.WholePage():
		t.state = Suspended
	case answered:
	case errors.Is(err, graph.ErrTransient), errors.Is(err, graph.ErrUnknownOutcome), errors.Is(err, context.DeadlineExceeded):
		t.state = Unreachable
	}
	return t
}

// mend says what to do about a Page that is suspended.
func (t trouble) mend() string {
	switch {
	case errors.Is(t.err, graph.ErrTokenDead):
		return "generate a new token in the App Dashboard, Messenger > API settings, put it into messenger.pages, and start again"
	case errors.Is(t.err, graph.ErrPageRestricted):
		return "look at the Page quality tab and at Support Inbox in Meta Business Suite"
	}
	return "the token needs pages_messaging, and the app must be live and connected to the Page: see usher check --live"
}

// health is how it stands with the calls of a Page. Its lane guards it.
type health struct {
	page messenger.PageID
	now  func() time.Time
	log  zerolog.Logger

	state   State // never Slow
	since   time.Time
	until   time.Time // when it is tried again
	why     string
	pauses  int  // in a row, of which Meta did not say how long they last
	row     int  // calls in a row that were not answered
	answers bool // a ping was answered since it was shut
	slow    time.Time
}

// shut lets nothing begin for a while.
func (h *health) shut(t trouble) {
	now, worse := h.now(), t.state > h.state
	if worse {
		if h.state == Open {
			h.since = now
		}
		h.state, h.why, h.pauses = t.state, t.why, 0
	}
	wait := t.wait
	if wait <= 0 {
		wait = pauseOf(h.state, h.pauses)
		h.pauses++
	}
	if until := now.Add(wait); until.After(h.until) {
		h.until = until
	}
	h.row, h.answers = 0, false
	if worse {
		h.tell(t)
	}
}

// tell logs that a trouble begins: once, and not once for each thread.
func (h *health) tell(t trouble) {
	if h.state != Suspended {
		h.log.Warn().Str("page", string(h.page)).Stringer("state", h.state).Str("why", h.why).Dur("wait", h.until.Sub(h.now())).
			Msg("Calls of the Page wait in the outbox")
		return
	}
	h.log.Error().Str("page", string(h.page)).Stringer("state", h.state).Str("why", h.why).
		Int("code", t.err.Code).Int("subcode", t.err.Subcode).Str("mend", t.mend()).
		Msg("Meta refuses the Page's calls; they wait in the outbox, replies for a day at most")
}

// fine says that Meta has answered. Where calls are held back that ends it, once
// words were taken: what a limit or a restriction is of does not concern the rest.
// Only whether Graph can be reached any answer tells.
func (h *health) fine(words bool) {
	h.row = 0
	if h.state == Open || !words && h.state != Unreachable {
		return
	}
	h.log.Info().Str("page", string(h.page)).Stringer("state", h.state).Dur("lasted", h.now().Sub(h.since)).Msg("Calls of the Page go on")
	h.state, h.since, h.until, h.why = Open, time.Time{}, time.Time{}, ""
}

// usage returns how much of Meta's allowance is spent, in per cent.
func (h *health) usage(u graph.Usage) float64 {
	if h.now().Sub(u.At) > usageAge {
		return 0
	}
	return u.Percent
}

// spent says how much of Meta's allowance is, and returns the share of the usual
// rate at which words may go on.
func (h *health) spent(u graph.Usage) (share float64) {
	percent := h.usage(u)
	slow := percent >= slowAt || percent >= slowEnds && !h.slow.IsZero()
	switch {
	case slow && h.slow.IsZero():
		h.slow = h.now()
		h.log.Info().Str("page", string(h.page)).Float64("percent", percent).Msg("Meta's allowance for the Page runs out; words go slower")
	case !slow && !h.slow.IsZero():
		h.slow = time.Time{}
		h.log.Info().Str("page", string(h.page)).Float64("percent", percent).Msg("Words of the Page go at their usual rate")
	}
	return min(max((100-percent)/(100-slowAt), 0.1), 1)
}

// PageStatus is how it stands with the calls of a Page, in this process.
type PageStatus struct {
	Page  messenger.PageID `json:"page"`
	Name  string           `json:"name,omitempty"`
	State State            `json:"state"`
	Since time.Time        `json:"since,omitzero"` // zero while it is open
	// Until is when it is tried whether calls go through again; zero while that is
	// being tried: with the next call.
	Until   time.Time `json:"until,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	Waiting int       `json:"waiting"` // calls that wait for their turn
	// Usage is how much of Meta's allowance is spent, in per cent; 0 where Meta has
	// not told for a while.
	Usage float64 `json:"usage,omitempty"`
}

func (h *health) status() PageStatus {
	s := PageStatus{Page: h.page, State: h.state, Since: h.since, Reason: h.why}
	if h.until.After(h.now()) {
		s.Until = h.until
	}
	if h.state == Open && !h.slow.IsZero() {
		s.State, s.Since, s.Reason = Slow, h.slow, "Meta's allowance runs out"
	}
	return s
}
