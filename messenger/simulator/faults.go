package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"usher/messenger"
)

// Failure is what goes wrong with a Graph call or, for EdgeWebhook, with a
// delivery. A call with neither Cut, Hang, Status, Code, Body nor After succeeds,
// if slowly; to a delivery Status, Code, Body and Hold mean nothing. In JSON, times
// are written 1m30s.
type Failure struct {
	// Status, Code, Subcode and Message make an error as Meta writes it. Status
	// defaults to 400 where Code is given. With a code by which Meta slows an app
	// down, 4, 17, 32, 613, 80001 or 80006, the usage headers say that the allowance
	// is spent, and when access comes back, which is as For has it.
	Status  int    `json:"status,omitempty"`
	Code    int    `json:"code,omitempty"`
	Subcode int    `json:"subcode,omitempty"`
	Message string `json:"message,omitempty"`
	// Body is answered instead, as it stands; an HTML page, say. Status then
	// defaults to 200.
	Body   string      `json:"body,omitempty"`
	Header http.Header `json:"header,omitempty"`
	// Cut ends the connection without an answer; that of a delivery before the app
	// has read it, so that it is repeated.
	Cut bool `json:"cut,omitempty"`
	// Hang leaves the connection half open: the call is read and never answered,
	// until the caller leaves. A delivery never comes to an end, and fails after 5 s.
	Hang bool `json:"hang,omitempty"`
	// After lets the call take effect first: what is wrong is the answer only.
	// Without Status, Code or Body the answer is lost with the connection. A delivery
	// is made, the app's answer is lost, and the delivery repeated.
	After bool `json:"after,omitempty"`
	// Lost deliveries never come, and are not repeated.
	Lost bool `json:"lost,omitempty"`

	// Times is how many calls fail. 0 is one, or all where For is given; a negative
	// number is all.
	Times int `json:"times,omitempty"`
	// Chance is how likely each call is to fail, above 0 and up to 1, drawn from
	// Options.Seed. 0 is always.
	Chance float64 `json:"chance,omitempty"`
	// For is how long it lasts from now on. 0 is as long as Times has it.
	For time.Duration `json:"for,omitempty"`
	// App fails an app's calls, or deliveries, only.
	App messenger.AppID `json:"app,omitempty"`
	// PSID fails calls for one customer, or deliveries with an event of hers, only.
	PSID messenger.PSID `json:"psid,omitempty"`
	// If fails the deliveries with an event that it chooses, only. It must not call
	// back.
	If func(Told) bool `json:"-"`

	// Hold keeps the call until it is closed, Delay for a time; before the call
	// takes effect, or, with After, before it is answered. A caller that goes
	// away ends both. A delivery is late by Delay, and those that follow overtake it.
	Hold  <-chan struct{} `json:"-"`
	Delay time.Duration   `json:"delay,omitempty"`
}

func (f Failure) cuts() bool { return f.Cut || f.After && !f.answers() }

func (f Failure) answers() bool { return f.Status != 0 || f.Code != 0 || f.Body != "" }

// throttles tells whether Meta says by f's code that there were too many calls.
func (f Failure) throttles() bool {
	return slices.Contains([]int{4, 17, 32, 613, 80001, 80006}, f.Code)
}

// wireFailure is a Failure in JSON.
type wireFailure struct {
	fields

	For   span `json:"for,omitempty"`
	Delay span `json:"delay,omitempty"`
}

type fields Failure

// span is a time written 1m30s.
type span time.Duration

// MarshalText writes the time.
func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads the time, which may not be negative.
func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err == nil && d < 0 {
		err = fmt.Errorf("%s is before now", d)
	}
	*s = span(d)
	return err
}

// MarshalJSON writes what JSON can say: neither If nor Hold.
func (f Failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireFailure{fields(f), span(f.For), span(f.Delay)})
}

// UnmarshalJSON refuses keys that a Failure does not have, a status outside 200 to
// 599 and a chance outside 0 to 1.
func (f *Failure) UnmarshalJSON(b []byte) error {
	var w wireFailure
	if err := strict(b, &w); err != nil {
		return err
	}
	switch {
	case w.Status != 0 && (w.Status < 200 || w.Status > 599):
		return fmt.Errorf("status %d is outside 200 to 599", w.Status)
	case w.Chance < 0 || w.Chance > 1:
		return fmt.Errorf("chance %v is outside 0 to 1", w.Chance)
	}
	*f = Failure(w.fields)
	f.For, f.Delay = time.Duration(w.For), time.Duration(w.Delay)
	return nil
}

// faults are what is wrong at present.
type faults struct {
	armed   []Armed
	latency func(edge string) time.Duration
	drop    func(Line) bool
	share   float64 // of the echoes, dropped
	copies  int
	reorder bool
	held    bool
	batch   int
	chaos   *chaos // nil is none
}

// Armed is a failure that calls to an edge still have before them.
type Armed struct {
	Edge    string  `json:"edge,omitempty"` // "" is every edge but EdgeWebhook
	Failure Failure `json:"failure"`        // Times is how often it is still to come
	// Until is when it ends; absent where it does not end by the clock.
	Until time.Time `json:"until,omitzero"`
}

func (a *Armed) over(now time.Time) bool { return !a.Until.IsZero() && !now.Before(a.Until) }

// maxArmed bounds the failures that are armed; the oldest give way.
const maxArmed = 1000

// FailNext lets the next calls to an edge fail; "" is any edge but EdgeWebhook.
// Failures of the same edge happen one after the other.
func (m *Meta) FailNext(edge string, f Failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arm(edge, f)
	m.happened()
}

func (m *Meta) arm(edge string, f Failure) {
	a := Armed{Edge: edge, Failure: f}
	if f.For > 0 {
		a.Until = m.now().Add(f.For)
		f.Times = or(f.Times, -1)
	}
	a.Failure.Times = or(f.Times, 1)
	if n := len(m.faults.armed); n >= maxArmed {
		m.faults.armed = slices.Delete(m.faults.armed, 0, n-maxArmed+1)
	}
	m.faults.armed = append(m.faults.armed, a)
}

// Heal ends everything that is wrong: failures, latency, dropped echoes,
// duplicates, disorder, chaos; and App's token is good again. Held deliveries stay
// held, and late ones late.
func (m *Meta) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endChaos()
	m.faults = faults{held: m.faults.held, batch: m.faults.batch}
	if m.us.token == "" {
		m.us.token, m.us.dead = m.us.dead, ""
	}
	m.happened()
}

// Faults are what is wrong at present.
type Faults struct {
	Failures []Armed `json:"failures,omitempty"`
	// TokenDead tells that App's token is revoked.
	TokenDead bool `json:"token_dead,omitempty"`
	// Latency tells that [Meta.Latency] is set.
	Latency bool `json:"latency,omitempty"`
	// DroppedEchoes is the share that [Meta.DropEchoes] loses.
	DroppedEchoes float64 `json:"dropped_echoes,omitempty"`
	// ChosenEchoes tells that [Meta.DropEchoesOf] is set.
	ChosenEchoes bool `json:"chosen_echoes,omitempty"`
	// Duplicates is how many more times each event is delivered.
	Duplicates int  `json:"duplicates,omitempty"`
	Reorder    bool `json:"reorder,omitempty"`
	// Held tells that deliveries pile up, see [Meta.HoldDeliveries].
	Held bool `json:"held,omitempty"`
	// Chaos tells that [Meta.Chaos] is at work.
	Chaos bool `json:"chaos,omitempty"`
}

// Faults returns what is wrong at present.
func (m *Meta) Faults() Faults {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endFailures()
	f := &m.faults
	return Faults{
		Failures: slices.Clone(f.armed), TokenDead: m.us.token == "", Latency: f.latency != nil, DroppedEchoes: f.share,
		ChosenEchoes: f.drop != nil, Duplicates: f.copies, Reorder: f.reorder, Held: f.held, Chaos: f.chaos != nil,
	}
}

// endFailures forgets what is over by the clock.
func (m *Meta) endFailures() {
	now := m.now()
	m.faults.armed = slices.DeleteFunc(m.faults.armed, func(a Armed) bool { return a.over(now) })
}

// target is a call, or a delivery, of which something may go wrong.
type target struct {
	edge   string
	app    messenger.AppID
	psid   messenger.PSID
	events []Told // of a delivery
}

func (a *Armed) hits(t target) bool {
	f := a.Failure
	return (a.Edge == t.edge || a.Edge == "" && t.edge != EdgeWebhook) &&
		(f.App == "" || f.App == t.app) &&
		(f.PSID == "" || f.PSID == t.psid || slices.ContainsFunc(t.events, func(e Told) bool { return e.PSID == f.PSID })) &&
		(f.If == nil || slices.ContainsFunc(t.events, f.If))
}

// failure returns what goes wrong with t, if anything does. For is how long it
// still lasts. The lock is held.
func (m *Meta) failure(t target) (Failure, bool) {
	m.endFailures()
	for i := range m.faults.armed {
		a := &m.faults.armed[i]
		if !a.hits(t) || a.Failure.Chance > 0 && m.rng.Float64() >= a.Failure.Chance {
			continue
		}
		hit := a.Failure
		if !a.Until.IsZero() {
			hit.For = a.Until.Sub(m.now())
		}
		if a.Failure.Times > 0 {
			a.Failure.Times--
		}
		if a.Failure.Times == 0 {
			m.faults.armed = slices.Delete(m.faults.armed, i, i+1)
		}
		return hit, true
	}
	return Failure{}, false
}

// wait is the slowness of f.
func (m *Meta) wait(ctx context.Context, f Failure) error {
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := m.pause(ctx, f.Delay); err != nil || !f.Hang {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

// Latency makes each Graph call and each delivery (EdgeWebhook) as slow as of
// says for its edge. Nil is at once.
func (m *Meta) Latency(of func(edge string) time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults.latency = of
}

func (f *faults) latencyOf(edge string) time.Duration {
	if f.latency == nil {
		return 0
	}
	return f.latency(edge)
}

// DropEchoes loses a share of all echoes, 0 to 1, drawn from Options.Seed.
func (m *Meta) DropEchoes(share float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults.share = share
}

// DropEchoesOf loses the echoes of the lines that drop chooses; nil of none. It
// must not call back.
func (m *Meta) DropEchoesOf(drop func(Line) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults.drop = drop
}

func (f *faults) dropsEcho(rng *rand.Rand, l Line) bool {
	return f.share > 0 && rng.Float64() < f.share || f.drop != nil && f.drop(l)
}

// DuplicateDeliveries delivers each event n more times.
func (m *Meta) DuplicateDeliveries(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults.copies = max(0, n)
}

// Reorder shuffles the events that wait, by Options.Seed. Hold deliveries first
// to have something to shuffle.
func (m *Meta) Reorder(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults.reorder = on
}

// HoldDeliveries lets events pile up from now on.
func (m *Meta) HoldDeliveries() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults.held = true
}

// ReleaseDeliveries delivers what has piled up, and goes on. With batch above 0
// one body carries up to so many events, at most 1000, from now on.
func (m *Meta) ReleaseDeliveries(batch int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults.held = false
	if batch > 0 {
		m.faults.batch = min(batch, maxBatch)
	}
	for _, a := range m.apps {
		m.kick(&a.queue)
	}
	m.happened()
}
