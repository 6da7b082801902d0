package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// fault is something that goes wrong in a run.
type fault struct {
	At     float64       // how much of the run is over when it begins: 0 to 1
	Kind   string        // see kinds
	Target int           // which replica or node, modulo how many there are
	For    time.Duration // how long it lasts
	Size   int           // per cent of what it hits, ms of delay, copies, slots: as its kind has it
}

func (f fault) String() string {
	return fmt.Sprintf("%5.1f%% %s #%d for %v, %d", 100*f.At, f.Kind, f.Target, f.For, f.Size)
}

// kind is how a kind of fault is drawn.
type kind struct {
	name     string
	weight   int           // how many there are in a deck
	from, to time.Duration // how long it lasts
	least    int           // bounds of its size
	most     int
}

const (
	// killedAt begins the kinds of fault that need a program built with failpoints.
	killedAt = "replica killed at "
	// primaryLost is the primary's end with what it alone has: it needs a Redis that
	// does not wait for its replicas.
	primaryLost = "primary killed, replicas behind"
	// repliesSwallowed loses what Redis answers: its clients wait in vain.
	repliesSwallowed = "redis replies swallowed"
)

// kinds returns the faults that a run with a Redis of that mode can have, for leases
// of that length: a freeze outlasts them, a pause does not.
func kinds(mode string, lease time.Duration) []kind {
	ms := time.Millisecond
	all := []kind{
		{"replica killed", 3, 0, 500 * ms, 0, 0},
		{"replica frozen", 3, lease + lease/2, 2*lease + lease/2, 0, 0},
		{"replica paused", 2, 50 * ms, lease / 3, 0, 0},
		{"replica stopped", 2, 0, 300 * ms, 0, 0},
		{"rolling restart", 1, 0, 0, 0, 0},
		{"graph throttles", 2, 100 * ms, 400 * ms, 5, 100},
		{"graph fails", 3, 100 * ms, 1000 * ms, 5, 100},
		{"graph loses answers", 2, 100 * ms, 500 * ms, 5, 50},
		{"graph hangs after success", 2, 100 * ms, 500 * ms, 5, 50},
		{"graph cut", 2, 0, 0, 0, 0},
		{"graph slow", 1, 300 * ms, 1200 * ms, 20, 100},
		{"echoes lost", 2, 300 * ms, 1000 * ms, 10, 60},
		{"webhooks doubled", 2, 300 * ms, 1000 * ms, 1, 3},
		{"webhooks shuffled", 2, 200 * ms, 800 * ms, 0, 0},
		{"webhooks in a burst", 2, 300 * ms, 1000 * ms, 0, 0},
		{"webhooks to two at once", 2, 300 * ms, 1000 * ms, 0, 0},
		{"redis out of memory", 2, 200 * ms, 1000 * ms, 0, 0},
		{"redis forgets scripts", 1, 0, 0, 0, 0},
		{"redis slow", 2, 300 * ms, 1200 * ms, 2, 40},
		{"redis cut", 2, 0, 0, 0, 0},
		{repliesSwallowed, 2, 50 * ms, 300 * ms, 0, 0},
	}
	for _, place := range []string{"ingest.before", "ingest.mid", "ingest.after", "step.after", "commit.after", "send.after"} {
		all = append(all, kind{killedAt + place, 1, 0, 300 * ms, 0, 0})
	}
	away := 1500 * ms
	switch mode {
	case redisSentinel:
		away = 700 * ms // sentinels do not give the primary up for that
		all = append(all, kind{"failover", 2, 0, 0, 0, 0}, kind{"primary killed", 2, 1000 * ms, 2000 * ms, 0, 0}, kind{primaryLost, 2, 300 * ms, 600 * ms, 0, 0},
			kind{"redis replica frozen", 1, 200 * ms, away, 0, 0}, kind{"redis replica restarted", 1, 0, 300 * ms, 0, 0})
	case redisCluster:
		all = append(all, kind{"slots moved", 4, 0, 0, 1, 4}, kind{"redis killed", 1, 0, 300 * ms, 0, 0}, kind{"redis restarted", 1, 0, 300 * ms, 0, 0})
	default:
		all = append(all, kind{"redis killed", 2, 0, 300 * ms, 0, 0}, kind{"redis restarted", 1, 0, 300 * ms, 0, 0})
		if canFillDisk {
			all = append(all, kind{"redis disk full", 1, 200 * ms, 1000 * ms, 0, 0})
		}
	}
	return append(all, kind{"redis unreachable", 2, 200 * ms, away, 0, 0}, kind{"redis stalled", 2, 200 * ms, away, 0, 0})
}

// schedule draws n faults from a seed: the same ones for the same seed. Each kind
// comes as often as its weight says.
func schedule(seed uint64, n int, of []kind) []fault {
	rng := rand.New(rand.NewPCG(seed, 1))
	var deck []kind
	faults := make([]fault, n)
	for i := range faults {
		if len(deck) == 0 {
			for _, k := range of {
				for range k.weight {
					deck = append(deck, k)
				}
			}
			rng.Shuffle(len(deck), func(a, b int) { deck[a], deck[b] = deck[b], deck[a] })
		}
		k := deck[0]
		deck = deck[1:]
		faults[i] = fault{
			// Something is there to be broken at the beginning, and time is left at the end.
			At: 0.03 + 0.92*rng.Float64(), Kind: k.name, Target: rng.IntN(1 << 20),
			For:  (k.from + time.Duration(rng.Int64N(int64(k.to-k.from)+1))).Round(time.Millisecond),
			Size: k.least + rng.IntN(k.most-k.least+1),
		}
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(a.At, b.At) })
	return faults
}
