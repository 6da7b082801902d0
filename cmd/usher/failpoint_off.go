//go:build !failpoints

package main

import (
	"github.com/redis/go-redis/v9"

	"usher/handover/engine"
	"usher/messenger/webhook"
)

// breakable changes nothing; see the failpoints of a build with that tag.
func breakable(_ redis.UniversalClient, inbox webhook.Inbox, store engine.Store, _ *witness) (webhook.Inbox, engine.Store) {
	return inbox, store
}
