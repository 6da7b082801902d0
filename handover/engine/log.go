package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"

	"github.com/rs/zerolog"

	"usher/messenger"
)

// Nothing that a customer wrote may reach the log, nor the causes that stand in
// history and in the dlq, whoever may read those.

// Alias names a thread in logs without naming the person: the same thread, the
// same name.
func Alias(app messenger.AppID, thread string) string {
	sum := sha256.Sum256([]byte(string(app) + "\x00" + thread))
	return hex.EncodeToString(sum[:5])
}

// named is a thread in a line of the log.
type named struct{ page, thread string }

func (e *Engine) named(thread string) named {
	return named{string(pageOf(thread)), Alias(e.App, thread)}
}

// MarshalZerologObject writes the thread's Page and its alias.
func (n named) MarshalZerologObject(l *zerolog.Event) {
	if n.page != "" {
		l.Str("page", n.page)
	}
	l.Str("thread", n.thread)
}

// panicked describes what a panic was about. Go's own words quote nothing; of all
// other causes only the type is told, and where it was tells the stack.
func panicked(cause any) string {
	if err, ok := cause.(runtime.Error); ok {
		return "panic: " + err.Error()
	}
	return fmt.Sprintf("panic: a %T", cause)
}

var errUnreadable = errors.New("cannot be read")

// unreadable says where JSON cannot be read, without what stands there.
func unreadable(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%w: no JSON at byte %d", errUnreadable, syntax.Offset)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%w: %s is no %s", errUnreadable, wrong.Field, wrong.Type)
	}
	return errUnreadable
}
