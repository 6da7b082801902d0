// Command usher answers a Page's Messenger threads, hands them over to people and
// comes back. See `usher --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// gcPercent lets the heap grow to two and a half times of what is in use before it is collected.
// That is some MB for a third of the collections. GOGC overrules it.
const gcPercent = 150

func main() {
	if os.Getenv("GOGC") == "" { //nolint:forbidigo // the runtime's own setting
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks a second time is not made to wait
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
