package redisstore

import (
	"context"
	_ "embed" // watch.lua
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
	"usher/messenger"
)

//go:embed watch.lua
var watchSource string

var watchScript = redis.NewScript(watchSource)

// Watch returns what is known of the deliveries of a Page. It is forgotten when
// nothing has come for Options.Retention.
func (s *Store) Watch(ctx context.Context, page messenger.PageID) (handover.Watch, error) {
	return s.watch(ctx, page, "read", 0)
}

// Delivered notes that a delivery of a Page was stored so long ago.
func (s *Store) Delivered(ctx context.Context, page messenger.PageID, ago time.Duration) error {
	_, err := s.watch(ctx, page, "delivered", ago.Milliseconds())
	return err
}

// Whole notes that a Page is subscribed to all that we need.
func (s *Store) Whole(ctx context.Context, page messenger.PageID) error {
	_, err := s.watch(ctx, page, "whole", 0)
	return err
}

// Owe notes that messages of a Page may have been missed since a time; an earlier
// time that was noted stays.
func (s *Store) Owe(ctx context.Context, page messenger.PageID, since time.Time) error {
	_, err := s.watch(ctx, page, "owe", since.UnixMilli())
	return err
}

// Settle notes that what was missed since a time has been found. Where more is owed
// by now, that stays.
func (s *Store) Settle(ctx context.Context, page messenger.PageID, since time.Time) error {
	_, err := s.watch(ctx, page, "settle", since.UnixMilli())
	return err
}

func (s *Store) watch(ctx context.Context, page messenger.PageID, what string, value int64) (handover.Watch, error) {
	reply, err := watchScript.Run(ctx, s.rdb, []string{s.keys.watch(page)}, s.Retention.Milliseconds(), what, value).StringSlice()
	if err != nil {
		return handover.Watch{}, fmt.Errorf("watch Page %s: %w", page, err)
	}
	w, err := unpackWatch(reply)
	if err != nil {
		return handover.Watch{}, fmt.Errorf("watch Page %s: %w", page, err)
	}
	return w, nil
}

// unpackWatch reads what watch.lua returns.
func unpackWatch(reply []string) (w handover.Watch, err error) {
	if len(reply) < 3 {
		return w, fmt.Errorf("%w: %q", errReply, reply)
	}
	for i, to := range []*time.Time{&w.Now, &w.Whole, &w.Owed} {
		if reply[i] == "" {
			continue
		}
		if *to, err = unixMilli(reply[i]); err != nil {
			return w, err
		}
	}
	for _, text := range reply[3:] {
		minute, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return w, fmt.Errorf("%w: minute %q", errReply, text)
		}
		w.Seen = append(w.Seen, time.Unix(minute*60, 0).UTC())
	}
	slices.SortFunc(w.Seen, time.Time.Compare)
	return w, nil
}
