//go:build unix

package main

import (
	"slices"
	"testing"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
)

// These tests kill processes, and want the machine for themselves: none of them
// is parallel.

// soon are times that let a crash be over soon.
var soon = seamarks{
	lease: 2 * time.Second, renew: 300 * time.Millisecond, margin: 100 * time.Millisecond,
	callTimeout: 1200 * time.Millisecond, echoGrace: 700 * time.Millisecond,
}

// Killed as soon as Meta has its 200: what was stored is answered by the next
// process, once and in order.
//
//nolint:paralleltest // see above
func TestKilledBetweenStoringAndAnswering(t *testing.T) {
	f := newFleet(t, soon, 200)
	people := f.crowd.join(f.meta, 20)
	pending := 0
	s := f.launch()
	f.owned(1)
	for range 4 {
		f.meta.HoldDeliveries()
		for range 10 {
			for _, p := range people {
				p.asks(t, false)
			}
		}
		f.meta.ReleaseDeliveries(0)
		f.until("all is acknowledged", func() bool {
			told := f.acknowledged()
			return !slices.ContainsFunc(people, func(p *person) bool { return !told[p.said[len(p.said)-1]] })
		})
		s.kill()
		for _, p := range people {
			pending += p.waits()
		}
		s = f.launch()
		f.until("everybody is answered", f.crowd.answered)
	}
	f.rest()
	f.faultless()
	t.Logf("%d lines were not said yet when the process was killed", pending)
	if pending == 0 {
		t.Error("each kill came too late to prove anything")
	}
}

// Killed while effects stand in the outbox: each is sent once, by the next process.
//
//nolint:paralleltest // see above
func TestKilledBetweenDecidingAndSending(t *testing.T) {
	tests := map[string]struct {
		fault simulator.Failure
	}{
		"graph_fails": {fault: simulator.Failure{Status: 500, Code: 2, Times: -1}},
		"graph_hangs": {fault: simulator.Failure{Hold: make(chan struct{}), Times: -1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, soon, 50)
			people := f.crowd.join(f.meta, 20)
			s := f.launch()
			f.owned(1)
			f.meta.FailNext(simulator.EdgeMessages, tt.fault)
			for range 5 {
				for _, p := range people {
					p.asks(t, false)
				}
			}
			want := 0
			for _, p := range people {
				want += len(p.want)
			}
			f.until("all is decided", func() bool { return f.left("ob") == int64(want) })
			s.kill()
			f.meta.Heal()
			f.launch()
			f.rest()
			f.faultless()
		})
	}
}

// Killed while a send is in flight that did reach Meta: its echo settles it.
// Without the echo a second copy is said: better twice than never.
//
//nolint:paralleltest // see above
func TestKilledWhileASendIsInFlight(t *testing.T) {
	for name, echoes := range map[string]bool{"echo_comes": true, "echo_is_lost": false} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, soon, 50)
			people := f.crowd.join(f.meta, 20)
			s := f.launch()
			f.owned(1)
			if !echoes {
				f.meta.DropEchoes(1)
			}
			f.meta.FailNext(simulator.EdgeMessages, simulator.Failure{After: true, Hold: make(chan struct{}), Times: -1})
			for range 3 {
				for _, p := range people {
					p.asks(t, false)
				}
			}
			f.until("each phone shows one line", func() bool {
				return !slices.ContainsFunc(people, func(p *person) bool { return len(f.heardBy(p)) == 0 })
			})
			s.kill()
			f.meta.Heal()
			f.launch()
			f.rest()
			if echoes {
				f.faultless()
				return
			}
			n := f.judge()
			if n.lost > 0 || n.doubled != len(people) || n.sentTwice != len(people) {
				t.Errorf("%v, want the first line of each of %d doubled and nothing else", n, len(people))
			}
		})
	}
}

// Killed while a handoff is in flight: thread_owner tells whether it reached Meta,
// echo or not.
//
//nolint:paralleltest // see above
func TestKilledDuringSayAndPass(t *testing.T) {
	tests := map[string]struct {
		arrived, echoes bool
	}{
		"arrived":                 {arrived: true, echoes: true},
		"arrived_but_not_an_echo": {arrived: true},
		"did_not_arrive":          {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, soon, 50)
			people := f.crowd.join(f.meta, 10)
			s := f.launch()
			f.owned(1)
			if !tt.echoes {
				f.meta.DropEchoes(1)
			}
			f.meta.FailNext(simulator.EdgeMessages, simulator.Failure{After: tt.arrived, Hold: make(chan struct{}), Times: -1})
			for _, p := range people {
				p.says(t, "human", passesOn)
			}
			if tt.arrived {
				f.until("everybody is passed on", f.crowd.answered)
			} else {
				f.until("every handoff is decided", func() bool { return f.left("ob") == int64(len(people)) })
			}
			s.kill()
			f.meta.Heal()
			f.launch()
			f.rest()
			f.faultless()
			asked := map[messenger.PSID]bool{}
			for _, c := range f.meta.Calls(simulator.EdgeOwner) {
				asked[c.PSID] = true
			}
			for _, p := range people {
				owner, _ := f.meta.Owner(p.customer.PSID())
				if owner != messenger.PageInbox || !asked[p.customer.PSID()] {
					t.Errorf("%s: %q has control, thread_owner read: %v; want the inbox, and true",
						p.customer.PSID(), owner, asked[p.customer.PSID()])
				}
			}
			// People have the thread, and there is a way back.
			f.meta.DropEchoes(0)
			for _, p := range people {
				p.asks(t, true)
				p.says(t, "bot", isBack)
				p.asks(t, false)
			}
			f.rest()
			f.faultless()
		})
	}
}
