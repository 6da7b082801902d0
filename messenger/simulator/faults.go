package simulator

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"usher/messenger"
)

// Failure is what goes wrong with a Graph call. With neither Cut, Status, Code,
// Body nor After the call succeeds, if slowly.
type Failure struct {
	// Status, Code, Subcode and Message make an error as Meta writes it. Status
	// defaults to 400 where Code is given.
	Status, Code, Subcode int
	Message               string
	// Body is answered instead, as it stands; an HTML page, say. Status then
	// defaults to 200.
	Body   string
	Header http.Header
	// Cut ends the connection without an answer.
	Cut bool
	// After lets the call take effect first: what is wrong is the answer only.
	// Without Status, Code or Body the answer is lost with the connection.
	After bool

	// Times is how many calls fail. 0 is one, a negative number is all.
	Times int
	// Chance is how likely each call is to fail, above 0 and up to 1, drawn from
	// Options.Seed. 0 is always.
	Chance float64
	// PSID fails calls for one customer only.
	PSID messenger.PSID

	// Hold keeps the call until it is closed, Delay for a time; before the call
	// takes effect, or, with After, before it is answered. A caller that goes
	// away ends both.
	Hold  <-chan struct{}
	Delay time.Duration
}

func (f Failure) cuts() bool { return f.Cut || f.After && !f.answers() }

func (f Failure) answers() bool { return f.Status != 0 || f.Code != 0 || f.Body != "" }

// faults are what is wrong at present.
type faults struct {
	armed   []armed
	latency func(edge string) time.Duration
	drop    func(Line) bool
	share   float64 // of the echoes, dropped
	copies  int
	reorder bool
	held    bool
	batch   int
}

type armed struct {
	Failure

	edge string
}

// FailNext lets the next calls to an edge fail; "" is any edge. Failures of the
// same edge happen one after the other.
func (m *Meta) FailNext(edge string, f Failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.Times = or(f.Times, 1)
	m.faults.armed = append(m.faults.armed, armed{edge: edge, Failure: f})
}

// Heal ends everything that is wrong: failures, latency, dropped echoes,
// duplicates, disorder. Held deliveries stay held.
func (m *Meta) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = faults{held: m.faults.held, batch: m.faults.batch}
}

// failure returns what goes wrong with a call, if anything does. The lock is held.
func (m *Meta) failure(edge string, psid messenger.PSID) (Failure, bool) {
	for i := range m.faults.armed {
		f := &m.faults.armed[i]
		if f.edge != "" && f.edge != edge || f.PSID != "" && f.PSID != psid || f.Chance > 0 && m.rng.Float64() >= f.Chance {
			continue
		}
		hit := f.Failure
		f.Times--
		if f.Times == 0 {
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
	return m.pause(ctx, f.Delay)
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
