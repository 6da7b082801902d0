package engine

import (
	"slices"
	"testing"
)

// Results are taken in the order in which they came, so many at a time, and the loop
// hears of them as long as there are some.
func TestResults(t *testing.T) {
	t.Parallel()
	q := newResults()
	came := func() bool {
		select {
		case <-q.came:
			return true
		default:
			return false
		}
	}
	take := func(when string, n int, want ...ending) {
		t.Helper()
		var got []ending
		for _, r := range q.take(n) {
			got = append(got, r.end)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s take(%d) = %v, want %v", when, n, got, want)
		}
	}
	q.put(result{end: 1})
	q.put(result{end: 2}, result{end: 3})
	if !came() {
		t.Error("nobody hears of three results")
	}
	first := q.take(2)
	if !came() || !q.there() {
		t.Error("nobody hears of the one that is left")
	}
	q.putBack(first)
	take("after two came back", 9, 1, 2, 3)
	take("with none", 9)
	q.putBack(nil)
	if came() || q.there() {
		t.Error("one hears of results where there are none")
	}
	q.put(result{end: 4})
	take("later", 1, 4)
	if came() {
		t.Error("one hears of what was taken")
	}
}
