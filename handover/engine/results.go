package engine

import (
	"slices"
	"sync"
)

// results are what senders bring to their partition's loop. Who brings one waits for
// nobody: a sender has no more of them than effects.
type results struct {
	came chan struct{} // filled while there are some

	mu  sync.Mutex
	all []result
}

func newResults() results { return results{came: make(chan struct{}, 1)} }

// put brings results.
func (q *results) put(rs ...result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(q.all, rs...)
	q.tell()
}

// putBack brings back what was taken, before all others.
func (q *results) putBack(rs []result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = slices.Concat(rs, q.all)
	q.tell()
}

// take takes up to n.
func (q *results) take(n int) (rs []result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.all))
	rs, q.all = q.all[:n:n], q.all[n:]
	q.tell()
	return rs
}

// there tells whether there are some.
func (q *results) there() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.all) > 0
}

func (q *results) tell() {
	if len(q.all) > 0 {
		signal(q.came)
		return
	}
	q.all = nil
	select {
	case <-q.came:
	default:
	}
}
