package main

import (
	"syscall"
	"time"
)

// outliveNobody ends a process with us, however we end.
func outliveNobody(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// nap waits for a short while, and no longer: Go's own timers come up to a millisecond
// late where nothing else is to do, which a latency must not be charged with.
func nap(d time.Duration) {
	left := syscall.NsecToTimespec(d.Nanoseconds())
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}
