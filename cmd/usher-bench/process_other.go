//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

// outliveNobody can promise nothing here: a kill -9 of ours leaves processes behind.
func outliveNobody(*syscall.SysProcAttr) {}

// canFillDisk tells whether fillDisk can be done here.
const canFillDisk = false

// fillDisk cannot be done here.
func (*child) fillDisk(bool) error { return errors.ErrUnsupported }

// nap waits for a short while.
func nap(d time.Duration) { time.Sleep(d) }
