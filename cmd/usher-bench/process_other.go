//go:build !linux

package main

import (
	"syscall"
	"time"
)

// outliveNobody can promise nothing here: a kill -9 of ours leaves processes behind.
func outliveNobody(*syscall.SysProcAttr) {}

// nap waits for a short while.
func nap(d time.Duration) { time.Sleep(d) }
