package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
)

// health is the answer of /healthz and /readyz.
type health struct {
	Status string        `json:"status"`
	Reason string        `json:"reason,omitempty"`
	Checks []healthCheck `json:"checks,omitempty"` // of /readyz?verbose
}

// healthCheck is one thing that was looked at.
type healthCheck struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, failed, or unknown where it could not be looked at
	Reason string `json:"reason,omitempty"`
}

// healthz says that the process serves.
func healthz(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, health{Status: "ok"})
}

// readyTimeout bounds the look at Redis.
const readyTimeout = time.Second

// readyz says whether deliveries can be stored. It asks neither Graph nor who
// owns partitions: Meta must not be sent away because of those. Anybody may ask, so
// the reasons are words of ours and no error's.
func readyz(ready func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		server, store := healthCheck{Name: "redis", Status: "ok"}, healthCheck{Name: "store", Status: "ok"}
		answer, status := health{Status: "ok"}, http.StatusOK
		if err := ready(ctx); err != nil {
			answer.Status, status = "not ready", http.StatusServiceUnavailable
			var answered redis.Error
			switch {
			case errors.Is(err, handover.ErrPartitions), errors.Is(err, handover.ErrNewerSchema):
				store.Status, store.Reason = "failed", "Redis holds another installation"
			case redis.HasErrorPrefix(err, "LOADING"):
				store.Status, store.Reason = "failed", "Redis is loading its data"
			case errors.As(err, &answered):
				store.Status, store.Reason = "failed", "Redis refuses to store"
			default:
				server.Status, server.Reason = "failed", "Redis does not answer"
				store.Status = "unknown"
			}
			answer.Reason = server.Reason + store.Reason // one of the two
		}
		if r.URL.Query().Has("verbose") {
			answer.Checks = []healthCheck{server, store}
		}
		answerJSON(w, status, answer)
	}
}
