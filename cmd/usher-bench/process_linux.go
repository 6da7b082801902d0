package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outliveNobody ends a process with us, however we end.
func outliveNobody(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// canFillDisk tells whether fillDisk can be done here.
const canFillDisk = true

// fillDisk lets a process make no file longer, as on a full disk, or again as long as it
// may. It must have been started to ignore SIGXFSZ. One that has ended has no files.
func (c *child) fillDisk(full bool) error {
	var limit unix.Rlimit
	err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit)
	if err == nil {
		if limit.Cur = limit.Max; full {
			limit.Cur = 0
		}
		err = unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) { // which is that of one that has ended
		return fmt.Errorf("limit the files of %s: %w", c.name, err)
	}
	return nil
}

// nap waits for a short while, and no longer: Go's own timers come up to a millisecond
// late where nothing else is to do, which a latency must not be charged with.
func nap(d time.Duration) {
	left := syscall.NsecToTimespec(d.Nanoseconds())
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}
