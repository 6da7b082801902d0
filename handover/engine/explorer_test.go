package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The protocol of a partition, without its code: two replicas, a store, and all
// that can happen to them, in every order. What the engine and the scripts do is
// tested elsewhere; here the design itself is: with its fences nothing that can
// happen breaks a promise, and without any one of them something does.
//
// Time is what happens: a lease runs out when an expiry happens, and the trust in
// it has ended before, since it is counted from when the renewal was sent. A send
// that has begun ends within the trust, as a call that would not is not begun.

const protocolEvents = 2

// fences are the mechanisms; each can be taken away.
type fences struct {
	token  bool // a commit wants the lease's token to be the store's
	seq    bool // and its own number to be the next
	trust  bool // a send wants the lease to be ours for sure
	stored bool // a send comes after the commit that decided it
	// known is the word replicated: a lease is believed in when a failover cannot
	// lose it. Without it two may send for a while after a failover, the same replies
	// with the same ids; their commits are fenced all the same.
	known bool
}

// protocolWorld is one moment. It is a value: worlds are compared.
type protocolWorld struct {
	accepted uint8 // events in the stream: those up to this number
	store    protocolStore
	lost     protocolStore // what a failover would go back to
	tokens   uint8         // drawn so far
	replicas [2]protocolReplica
	budget   disasters
	rolled   bool   // a failover has happened: what was committed may be gone
	broken   string // the promise that was broken, "" for none
}

// disasters are how often something may happen still.
type disasters struct{ crashes, failovers, expiries int8 }

// protocolStore is what a commit changes.
type protocolStore struct {
	token   uint8 // of the owner; 0 for nobody
	expired bool
	seq     uint8
	cursor  uint8                     // events consumed
	decided [protocolEvents + 2]uint8 // the events that were decided, in order; more than there are shows doubles
	pending uint8                     // bits: replies that are to be sent
}

// protocolReplica is a process: what it believes.
type protocolReplica struct {
	token   uint8 // of its lease; 0 for none
	trusts  bool
	seq     uint8
	cursor  uint8
	decided [protocolEvents + 2]uint8
	pending uint8
	stepped bool  // it has a commit in hand
	upto    uint8 // which consumes up to here
	settles uint8 // bits: replies that it sent, to be recorded with the next commit
}

// next returns every world that one act leads to, with its name.
func (w *protocolWorld) next(f fences) map[string]protocolWorld {
	out := map[string]protocolWorld{}
	do := func(name string, can bool, act func(*protocolWorld)) {
		if can {
			n := *w
			act(&n)
			out[name] = n
		}
	}
	do("Meta delivers", w.accepted < protocolEvents, func(n *protocolWorld) { n.accepted++ })
	owner := slices.IndexFunc(w.replicas[:], func(r protocolReplica) bool { return r.token != 0 && r.token == w.store.token })
	do("lease expires", w.store.token != 0 && !w.store.expired && w.budget.expiries > 0 &&
		(owner < 0 || !f.trust || !w.replicas[owner].trusts), func(n *protocolWorld) {
		n.store.expired = true
		n.budget.expiries--
	})
	do("failover", w.budget.failovers > 0, func(n *protocolWorld) {
		n.store = w.lost
		n.store.expired = n.store.expired || n.store.token != w.store.token // an older lease ran out long ago
		n.rolled = true
		n.budget.failovers--
	})
	for i := range w.replicas {
		w.act(f, i, do)
	}
	return out
}

// act adds what replica i can do. A frozen replica is one that does nothing for a
// while, which is among the orders that are walked.
func (w *protocolWorld) act(f fences, i int, do func(string, bool, func(*protocolWorld))) {
	r := w.replicas[i]
	name := func(act string) string { return fmt.Sprintf("%c %s", 'A'+i, act) }
	do(name("crashes"), r.token != 0 && w.budget.crashes > 0, func(n *protocolWorld) {
		n.replicas[i] = protocolReplica{}
		n.budget.crashes--
	})
	do(name("no longer trusts its lease"), r.trusts && w.budget.expiries > 0, func(n *protocolWorld) { n.replicas[i].trusts = false })
	do(name("acquires"), r.token == 0 && (w.store.token == 0 || w.store.expired), func(n *protocolWorld) {
		n.tokens++
		n.store.token, n.store.expired = n.tokens, false
		if n.lost = w.store; f.known {
			n.lost = n.store
		}
		n.replicas[i] = protocolReplica{
			token: n.tokens, trusts: true, seq: w.store.seq, cursor: w.store.cursor, decided: w.store.decided, pending: w.store.pending,
		}
	})
	do(name("steps"), r.token != 0 && !r.stepped && (r.cursor < w.accepted || r.settles != 0), func(n *protocolWorld) {
		m := &n.replicas[i]
		m.stepped, m.upto = true, w.accepted
		for e := r.cursor + 1; e <= w.accepted; e++ {
			m.decide(e)
		}
	})
	do(name("commits"), r.stepped, func(n *protocolWorld) { n.commit(f, i) })
	for e := uint8(1); e <= protocolEvents; e++ {
		may := r.pending&(1<<e) != 0 && r.settles&(1<<e) == 0 && (r.trusts || !f.trust) && (!r.stepped || !f.stored)
		do(name(fmt.Sprint("sends the reply to ", e)), may, func(n *protocolWorld) { n.send(i, e) })
	}
}

// decide applies an event: it stands in the history, and leads to a reply.
func (r *protocolReplica) decide(e uint8) {
	at := slices.Index(r.decided[:], 0)
	if at < 0 {
		return
	}
	r.decided[at] = e
	r.pending |= 1 << e
}

// commit writes what replica i has stepped, or refuses.
func (w *protocolWorld) commit(f fences, i int) {
	r := &w.replicas[i]
	if f.token && r.token != w.store.token || f.seq && r.seq != w.store.seq {
		*r = protocolReplica{} // it gives up and begins anew
		return
	}
	w.lost = w.store
	s := &w.store
	// A commit writes what changed: it adds to the history what it decided.
	before := r.cursor
	for e := before + 1; e <= r.upto; e++ {
		if at := slices.Index(s.decided[:], 0); at >= 0 {
			s.decided[at] = e
		}
		s.pending |= 1 << e
	}
	s.pending &^= r.settles
	s.seq++
	s.cursor = max(s.cursor, r.upto)
	r.pending &^= r.settles
	r.seq, r.cursor, r.stepped, r.settles = r.seq+1, r.upto, false, 0
	w.check()
}

// check compares the store with what was promised.
func (w *protocolWorld) check() {
	var history []uint8
	for _, e := range w.store.decided {
		if e != 0 {
			history = append(history, e)
		}
	}
	for i, e := range history {
		switch {
		case slices.Contains(history[:i], e):
			w.broken = fmt.Sprintf("event %d is decided twice: %v", e, history)
		case i > 0 && history[i-1] > e:
			w.broken = fmt.Sprintf("events are decided out of order: %v", history)
		}
	}
	for e := uint8(1); e <= w.store.cursor; e++ {
		if !slices.Contains(history, e) {
			w.broken = fmt.Sprintf("event %d is consumed and was never decided", e)
		}
	}
}

// send says the reply to an event.
func (w *protocolWorld) send(i int, e uint8) {
	r := &w.replicas[i]
	other := w.replicas[1-i]
	if other.token > r.token && other.trusts {
		w.broken = fmt.Sprintf("%c sends while %c owns the thread", 'A'+i, 'B'-i)
	}
	if !slices.Contains(w.store.decided[:], e) && !slices.Contains(w.lost.decided[:], e) && !w.rolled {
		w.broken = fmt.Sprintf("the reply to %d is sent, and nothing in the store knows of it", e)
	}
	r.settles |= 1 << e
}

// explore walks every order of acts, to the end, and returns the shortest that
// breaks a promise, and how many worlds it saw.
func explore(f fences, d disasters) (path []string, worlds int) {
	type step struct {
		world protocolWorld
		from  int
		act   string
	}
	start := protocolWorld{budget: d}
	steps := []step{{world: start, from: -1}}
	seen := map[protocolWorld]bool{start: true}
	for at := 0; at < len(steps); at++ {
		for act, n := range steps[at].world.next(f) {
			if seen[n] {
				continue
			}
			seen[n] = true
			steps = append(steps, step{n, at, act})
			if n.broken == "" {
				continue
			}
			path = []string{"→ " + n.broken}
			for s := len(steps) - 1; steps[s].from >= 0; s = steps[s].from {
				path = append(path, steps[s].act)
			}
			slices.Reverse(path)
			return path, len(seen)
		}
	}
	return nil, len(seen)
}

// Nothing that can happen to two replicas and their store breaks a promise. Each
// fence is needed: without it there is a way.
func TestProtocol(t *testing.T) {
	t.Parallel()
	path, worlds := explore(fences{token: true, seq: true, trust: true, stored: true, known: true}, disasters{crashes: 2, failovers: 2, expiries: 2})
	if path != nil {
		t.Errorf("the protocol breaks:\n%s", strings.Join(path, "\n"))
	}
	t.Logf("%d worlds", worlds)
	without := map[string]struct {
		f    fences
		d    disasters
		want string
	}{
		"fence":         {fences{trust: true, stored: true, known: true}, disasters{expiries: 1}, "decided twice"},
		"seq":           {fences{token: true, trust: true, stored: true, known: true}, disasters{failovers: 1}, "never decided"},
		"trust":         {fences{token: true, seq: true, stored: true, known: true}, disasters{expiries: 1}, "owns the thread"},
		"commit_first":  {fences{token: true, seq: true, trust: true, known: true}, disasters{}, "nothing in the store knows"},
		"a_known_lease": {fences{token: true, seq: true, trust: true, stored: true}, disasters{crashes: 1, failovers: 1, expiries: 1}, "owns the thread"},
	}
	for name, tt := range without {
		t.Run("without_"+name, func(t *testing.T) {
			t.Parallel()
			path, worlds := explore(tt.f, tt.d)
			if len(path) == 0 || !strings.Contains(path[len(path)-1], tt.want) {
				t.Fatalf("in %d worlds nothing breaks that is %q: %v", worlds, tt.want, path)
			}
			t.Logf("%d worlds:\n%s", worlds, strings.Join(path, "\n"))
		})
	}
}
