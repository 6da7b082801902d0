package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercentFor(t *testing.T) {
	t.Parallel()
	for inUse, want := range map[uint64]int{0: 1000, 2 << 20: 1000, 8 << 20: 400, 20 << 20: 100, 25 << 20: 60, 28 << 20: 50, 1 << 40: 50} {
		if got := percentFor(inUse); got != want {
			t.Errorf("percentFor(%d MB) = %d, want %d", inUse>>20, got, want)
		}
	}
}

// What is in use decides how often garbage is collected, from cycle to cycle.
func TestCollectInTime(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	stop := collectInTime()
	percent := func() int { // as it is
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	settles := func(what string, is func(int) bool) {
		t.Helper()
		for range 1000 {
			runtime.GC()
			if is(percent()) {
				return
			}
		}
		t.Errorf("with %s it is set to %d", what, percent())
	}
	settles("little in use", func(p int) bool { return p > 150 })
	much := make([]byte, 2*heapRoom)
	settles("much in use", func(p int) bool { return p == 50 })
	runtime.KeepAlive(much) // and not from here on
	settles("little in use again", func(p int) bool { return p > 150 })
	stop()
	if got := percent(); got != 100 {
		t.Errorf("it is left at %d, want it as it was", got)
	}

	t.Setenv("GOGC", "50")
	debug.SetGCPercent(50)
	collectInTime()()
	if got := percent(); got != 50 {
		t.Errorf("GOGC=50 became %d", got)
	}
}
