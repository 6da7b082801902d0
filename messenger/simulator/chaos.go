package simulator

import (
	"math/rand/v2"
	"time"
)

// chaos arms failures over time.
type chaos struct {
	rng   *rand.Rand
	every time.Duration
	stop  func() bool // the timer of the next one
}

// Chaos lets something go wrong about once in every, drawn from a seed, until
// [Meta.Heal]; it begins anew where it is at work already. Calls are throttled,
// refused for a moment, slow, cut, hung or answered in vain; deliveries are cut,
// late, and repeated though they were answered. All of it passes, and what a bot
// was to be told comes in the end: one that repeats what is safe to repeat, and
// looks before it repeats the rest, survives. The ledger tells what was armed.
func (m *Meta) Chaos(seed uint64, every time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endChaos()
	m.faults.chaos = &chaos{rng: rand.New(rand.NewPCG(seed, 0)), every: max(every, time.Millisecond)}
	m.nextChaos()
}

// endChaos stops what is under way. The lock is held.
func (m *Meta) endChaos() {
	if c := m.faults.chaos; c != nil {
		c.stop()
		m.faults.chaos = nil
	}
}

// nextChaos waits for the next failure, and arms it. The lock is held.
func (m *Meta) nextChaos() {
	c := m.faults.chaos
	c.stop = m.opt.After(time.Duration(c.rng.ExpFloat64()*float64(c.every)), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.closed || m.faults.chaos != c {
			return
		}
		edge, f := c.draw()
		m.arm(edge, f)
		m.record(Entry{Act: &Act{Who: "meta", What: "fails " + or(edge, "any call"), Text: string(mustMarshal(f))}})
		m.nextChaos()
	})
}

// draw picks a failure. Each ends by the clock, most of them sooner by number.
func (c *chaos) draw() (edge string, f Failure) {
	seconds := func(most int) time.Duration { return time.Duration(1+c.rng.IntN(most)) * time.Second }
	pick := func(codes ...int) int { return codes[c.rng.IntN(len(codes))] }
	f = Failure{For: seconds(30), Times: 1 + c.rng.IntN(3)}
	kind := c.rng.IntN(11)
	if kind >= 7 {
		edge = EdgeWebhook
	}
	switch kind {
	case 0:
		f.Code, f.Times = pick(4, 32, 613, 80006), -1
	case 1:
		f.Status, f.Code = 500, pick(-1, 1, 2)
	case 2:
		f.Status, f.Body = 502, "<html><h1>Bad gateway</h1></html>"
	case 3, 7:
		f.Cut = true
	case 4, 8:
		f.After = true
	case 5, 9:
		f.Delay = seconds(20)
	default:
		f.Hang, f.After, f.Times = true, c.rng.IntN(2) == 0, 1
	}
	return edge, f
}
