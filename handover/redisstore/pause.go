package redisstore

import (
	"context"
	_ "embed" // pause.lua
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/messenger"
)

//go:embed pause.lua
var pauseSource string

var pauseScript = redis.NewScript(pauseSource)

// Pause stops the calls of a Page, for every process, for d from now by the clock
// of Redis, and announces it as -1. One that would end no more than a second later
// than the one there is changes nothing.
func (s *Store) Pause(ctx context.Context, page messenger.PageID, d time.Duration, why string) error {
	keys, args := s.pauseCall(page, d, why)
	if err := pauseScript.Run(ctx, s.rdb, keys, args...).Err(); err != nil {
		return fmt.Errorf("pause Page %s: %w", page, err)
	}
	return nil
}

// Pauses returns the pauses of Pages, in order, all in one round trip.
func (s *Store) Pauses(ctx context.Context, pages []messenger.PageID) ([]handover.Pause, error) {
	pipe := s.rdb.Pipeline()
	replies := make([]*redis.Cmd, len(pages))
	for i, page := range pages {
		keys, args := s.pauseCall(page, 0, "")
		replies[i] = pauseScript.EvalSha(ctx, pipe, keys, args...)
	}
	_, _ = pipe.Exec(ctx) // each reply has its own error
	pauses := make([]handover.Pause, len(pages))
	var faults []error
	for i, page := range pages {
		if forgotten(replies[i].Err()) {
			keys, args := s.pauseCall(page, 0, "")
			replies[i] = pauseScript.Eval(ctx, s.rdb, keys, args...)
		}
		var err error
		if pauses[i], err = unpackPause(replies[i]); err != nil {
			faults = append(faults, fmt.Errorf("pause of Page %s: %w", page, err))
		}
	}
	return pauses, errors.Join(faults...)
}

func (s *Store) pauseCall(page messenger.PageID, d time.Duration, why string) (keys []string, args []any) {
	return []string{s.keys.pause(page)}, []any{d.Milliseconds(), why, s.keys.wake()}
}

// unpackPause reads what pause.lua returns.
func unpackPause(cmd *redis.Cmd) (handover.Pause, error) {
	reply, err := cmd.StringSlice()
	if err != nil {
		return handover.Pause{}, err
	}
	if len(reply) != 2 {
		return handover.Pause{}, fmt.Errorf("%w: %q", errReply, reply)
	}
	ms, err := strconv.ParseInt(reply[0], 10, 64)
	return handover.Pause{Left: time.Duration(ms) * time.Millisecond, Why: reply[1]}, err
}
