//go:build unix

package main

import (
	"os"
	"slices"
	"testing"
	"time"

	"usher/messenger/simulator"
)

// slowGraph keeps each send under way for a while, before it takes effect and
// after, so that a fault finds some at either point.
func (f *fleet) slowGraph() {
	const slow = 25 * time.Millisecond
	f.meta.Latency(func(edge string) time.Duration {
		if edge == simulator.EdgeWebhook {
			return 0
		}
		return slow
	})
	f.meta.FailNext(simulator.EdgeMessages, simulator.Failure{
		After: true, Status: 200, Body: `{"recipient_id": "7", "message_id": "m_late"}`, Delay: slow, Chance: 0.5, Times: -1,
	})
}

// stress says how hard the replicas are tried. With USHER_TEST_FULL=1 it is the
// lease of every day and a freeze of a minute.
type stress struct {
	at     seamarks
	people int
	pace   time.Duration // between two texts of a person
	least  int           // texts of each
	freeze time.Duration
}

func stressed() stress {
	s := stress{at: soon, people: 50, pace: 200 * time.Millisecond, least: 40, freeze: 4 * soon.lease}
	if os.Getenv("USHER_TEST_FULL") != "" {
		s.at = seamarks{
			lease: 20 * time.Second, renew: 5 * time.Second, margin: 2 * time.Second,
			callTimeout: 8 * time.Second, echoGrace: 5 * time.Second,
		}
		s.freeze = time.Minute
	}
	return s
}

// Three replicas on one Redis, one killed and one frozen under load: nothing is
// lost, nothing is decided twice, no reply is out of order in its thread.
//
//nolint:paralleltest // it kills processes, and wants the machine for itself
func TestReplicaKilledAndReplicaFrozen(t *testing.T) {
	with := stressed()
	f := newFleet(t, with.at, 50)
	killed, frozen := f.launch(), f.launch()
	f.launch()
	f.owned(3)
	f.slowGraph()
	people := f.crowd.join(f.meta, with.people)
	calm := people[:with.people/3]
	for _, p := range calm {
		p.calm = true
	}
	load := f.talk(people, with.pace, with.least)

	f.heardMore("before the faults", 5)
	killed.kill()
	f.refuseOnce(calm)
	frozen.freeze()
	// It is the fault that lasts so long: nothing is waited for.
	<-time.After(with.freeze)
	f.heardMore("with one replica", 1)
	// There is something to read and something to say for everybody who believes
	// to be an owner.
	f.meta.HoldDeliveries()
	f.until("everybody has asked something", func() bool {
		return !slices.ContainsFunc(people, func(p *person) bool { return p.waits() == 0 })
	})
	frozen.thaw()
	f.meta.ReleaseDeliveries(0)
	f.launch()
	f.heardMore("after the faults", 5)
	load.stop()
	f.rest()
	f.faultless()
	lost := frozen.log.count("Partition lost")
	t.Logf("the frozen replica was refused %d partitions", lost)
	if lost == 0 {
		t.Error("nothing of the frozen replica's was taken over: the freeze proves nothing")
	}
}

// Replicas are replaced one after the other under load, as in every deployment.
// Leases and the wait for echoes are so long that who waited for one would not be
// answered: partitions are given back, and given back clean.
//
//nolint:paralleltest // it wants the machine for itself
func TestRollingRestart(t *testing.T) {
	with := stressed()
	with.at = seamarks{
		lease: 10 * time.Minute, renew: 500 * time.Millisecond, margin: time.Second,
		callTimeout: 30 * time.Second, echoGrace: 5 * time.Minute,
	}
	f := newFleet(t, with.at, 50)
	ships := []*ship{f.launch(), f.launch(), f.launch()}
	f.owned(3)
	f.slowGraph()
	load := f.talk(f.crowd.join(f.meta, with.people), with.pace, with.least)
	for _, s := range ships {
		f.heardMore("before the next restart", 3)
		s.terminate()
		f.launch()
		f.owned(3)
	}
	f.heardMore("after the last restart", 3)
	load.stop()
	f.rest()
	f.faultless()
}

// refuseOnce lets Graph fail one send to each, which is to be repeated in a second,
// and returns when it has.
func (f *fleet) refuseOnce(people []*person) {
	f.t.Helper()
	for _, p := range people {
		f.meta.FailNext(simulator.EdgeMessages, simulator.Failure{Status: 500, Code: 2, PSID: p.customer.PSID()})
	}
	f.until("a send to each has failed", func() bool {
		failed := 0
		for _, c := range f.meta.Calls(simulator.EdgeMessages) {
			if c.Status == 500 {
				failed++
			}
		}
		return failed >= len(people)
	})
}

// heardMore waits until everybody has heard n more lines, or has what she wants.
func (f *fleet) heardMore(when string, n int) {
	f.t.Helper()
	f.crowd.mu.Lock()
	before := make(map[*person]int)
	for _, p := range f.crowd.people {
		before[p] = p.heard
	}
	f.crowd.mu.Unlock()
	f.until(when+" everybody is answered", func() bool {
		f.crowd.mu.Lock()
		defer f.crowd.mu.Unlock()
		for p, heard := range before {
			if p.heard < heard+n {
				return false
			}
		}
		return true
	})
}
