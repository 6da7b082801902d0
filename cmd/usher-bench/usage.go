package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process uses, as Linux tells; zero elsewhere.
type usage struct {
	cpu      time.Duration // so far
	resident int64         // bytes
	files    int           // open ones
}

// ticks is how many a second has in /proc: USER_HZ, the same on every Linux that
// Go runs on.
const ticks = 100

// usageOf reads what processes use together.
func usageOf(pids ...int) (all usage) {
	for _, pid := range pids {
		u := read(pid)
		all.cpu, all.resident, all.files = all.cpu+u.cpu, all.resident+u.resident, all.files+u.files
	}
	return all
}

// read reads /proc.
func read(pid int) (u usage) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat") //nolint:gosec // pid is a number
	if err != nil {
		return u // it has ended, or this is no Linux
	}
	// The name before the last parenthesis may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const userTime, systemTime, resident = 11, 12, 21 // after the name
	if len(fields) > resident {
		user, _ := strconv.ParseInt(fields[userTime], 10, 64)     // always digits
		system, _ := strconv.ParseInt(fields[systemTime], 10, 64) // likewise
		pages, _ := strconv.ParseInt(fields[resident], 10, 64)    // likewise
		u.cpu = time.Duration(user+system) * time.Second / ticks
		u.resident = pages * int64(os.Getpagesize())
	}
	if open, err := os.ReadDir(dir + "/fd"); err == nil {
		u.files = len(open)
	}
	return u
}

// goroutines asks a replica's private listener how many it has.
func goroutines(ctx context.Context, client *http.Client, private string) (int, error) {
	b, err := ask(ctx, client, private+"/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(string(b), "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("read the goroutines of %s: %w", private, err)
	}
	return n, nil
}

// ask reads what is at a URL.
func ask(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s: %s", errAnswer, url, res.Status)
	}
	return b, err
}

var errAnswer = errors.New("not answered")
