package main

import (
	"slices"
	"sync"

	"usher/cmd/usher/page"
)

// maxLog is how many entries of the time line are remembered.
const maxLog = 1000

// timeLine is what happened on a stage, the newest maxLog entries of it.
type timeLine struct {
	mu      sync.Mutex
	entries []page.Entry
	seq     int64         // of the newest entry
	first   int64         // of this stage
	changed chan struct{} // closed and replaced when anything changes
}

// newTimeLine returns an empty one whose entries are numbered from start on. A
// start that grows from process to process lets a browser that comes back to
// another process miss nothing.
func newTimeLine(start int64) *timeLine {
	return &timeLine{seq: start, first: start + 1, changed: make(chan struct{})}
}

// add appends an entry.
func (l *timeLine) add(e page.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	if len(l.entries) >= 2*maxLog { // rarely, so that it costs little
		l.entries = slices.Clone(l.entries[len(l.entries)-maxLog:])
	}
	l.entries = append(l.entries, e)
	l.wake()
}

// restart begins the entries of another stage.
func (l *timeLine) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.first = nil, l.seq+1
	l.wake()
}

// touch tells that something else has changed.
func (l *timeLine) touch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

func (l *timeLine) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// begins returns the Seq of this stage's first entry.
func (l *timeLine) begins() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// since is page.Stage's Log. A reader who is ahead comes from elsewhere: it gets
// all.
func (l *timeLine) since(after int64, limit int) (entries []page.Entry, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.entries[max(0, len(l.entries)-maxLog):]
	if after > l.seq {
		after = 0
	}
	i, _ := slices.BinarySearchFunc(kept, after+1, func(e page.Entry, seq int64) int { return int(e.Seq - seq) })
	return slices.Clone(kept[i:min(i+limit, len(kept))]), l.changed
}
