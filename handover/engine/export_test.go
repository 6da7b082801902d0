package engine

import (
	"slices"
	"time"
)

// SetStuckAfter sets after how long a turn is taken to be stuck.
func (e *Engine) SetStuckAfter(d time.Duration) { e.stuckAfter = d }

// Turning returns when the turns began that are under way, in ns of their partitions'
// age.
func (e *Engine) Turning() (began []int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.partitions {
		if at := p.turning.Load(); at != 0 {
			began = append(began, at)
		}
	}
	slices.Sort(began)
	return began
}
