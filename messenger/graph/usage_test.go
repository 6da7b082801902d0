package graph_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"usher/messenger/graph"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		headers map[string]string
		body    string // of the answer; HTTP 400 if it is an error
		want    graph.Usage
		after   time.Duration // RetryAfter of the error
	}{
		"nothing_told": {},
		"app": {
			headers: map[string]string{"X-App-Usage": `{"call_count":28,"total_time":25,"total_cputime":31}`},
			want:    graph.Usage{Percent: 31},
		},
		"page": {
			headers: map[string]string{"X-Page-Usage": `{"call_count":28.5,"total_time":25,"total_cputime":1}`},
			want:    graph.Usage{Percent: 28.5},
		},
		"highest_of_all": {
			headers: map[string]string{
				"X-App-Usage":               `{"call_count":12,"total_time":5,"total_cputime":1}`,
				"X-Business-Use-Case-Usage": `{"1":[{"type":"messenger","call_count":3},{"type":"pages","total_time":77}],"2":[{"call_count":50}]}`,
			},
			want: graph.Usage{Percent: 77},
		},
		"pause_in_minutes": {
			headers: map[string]string{"X-Business-Use-Case-Usage": `{"1":[{"call_count":100,"estimated_time_to_regain_access":3},{"estimated_time_to_regain_access":19}]}`},
			body:    "limit_messenger",
			want:    graph.Usage{Percent: 100, PauseUntil: now.Add(19 * time.Minute)},
			after:   19 * time.Minute,
		},
		"pause_is_for_limits_only": {
			headers: map[string]string{"X-Business-Use-Case-Usage": `{"1":[{"estimated_time_to_regain_access":3}]}`},
			body:    "not_owner",
			want:    graph.Usage{PauseUntil: now.Add(3 * time.Minute)},
		},
		"pause_is_bounded": {
			headers: map[string]string{"X-Business-Use-Case-Usage": `{"1":[{"estimated_time_to_regain_access":1e300}]}`},
			body:    "limit_messenger",
			want:    graph.Usage{PauseUntil: now.Add(24 * time.Hour)},
			after:   24 * time.Hour,
		},
		"retry_after_goes_first": {
			headers: map[string]string{"Retry-After": "7", "X-Business-Use-Case-Usage": `{"1":[{"estimated_time_to_regain_access":3}]}`},
			body:    "limit_messenger",
			want:    graph.Usage{PauseUntil: now.Add(3 * time.Minute)},
			after:   7 * time.Second,
		},
		"retry_after_of_any_error": {headers: map[string]string{"Retry-After": "7"}, body: "service_unavailable", after: 7 * time.Second},
		"retry_after_date":         {headers: map[string]string{"Retry-After": "Fri, 20 Nov 2026 12:01:30 GMT"}, body: "limit_app", after: 90 * time.Second},
		"retry_after_past_date":    {headers: map[string]string{"Retry-After": "Fri, 20 Nov 2026 11:00:00 GMT"}, body: "limit_app"},
		"retry_after_negative":     {headers: map[string]string{"Retry-After": "-7"}, body: "limit_app"},
		"retry_after_bounded":      {headers: map[string]string{"Retry-After": "99999999999"}, body: "limit_app", after: 24 * time.Hour},
		"retry_after_nonsense":     {headers: map[string]string{"Retry-After": "NaN"}, body: "limit_app"},
		"limit_without_a_hint":     {body: "limit_app"},
		"nonsense_is_passed_over": {
			headers: map[string]string{"X-App-Usage": `{"call_count":"many"}`, "X-Page-Usage": `{"call_count":4}`, "X-Business-Use-Case-Usage": `[]`},
			want:    graph.Usage{Percent: 4},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := http.StatusOK, recorded(t, "success")
			if tt.body != "" {
				status, body = http.StatusBadRequest, recorded(t, tt.body)
			}
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range tt.headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			}))
			defer srv.Close()
			c := clientOf(t, graph.Options{BaseURL: srv.URL, Transport: srv.Client().Transport, Now: func() time.Time { return now }})
			if tt.want.Percent > 0 || !tt.want.PauseUntil.IsZero() {
				tt.want.At = now
			}
			err := c.Release(t.Context(), ada)
			if got := c.Usage(); got != tt.want {
				t.Errorf("Usage = %+v, want %+v", got, tt.want)
			}
			var e *graph.Error
			if errors.As(err, &e) != (tt.body != "") {
				t.Fatalf("error = %v", err)
			}
			if e != nil && e.RetryAfter != tt.after {
				t.Errorf("RetryAfter = %v, want %v", e.RetryAfter, tt.after)
			}
		})
	}
}

// The latest answer that tells counts, also where it tells the same or another header
// does; one that does not changes nothing.
func TestUsageIsTheLatest(t *testing.T) {
	t.Parallel()
	const app, page, business = "X-App-Usage", "X-Page-Usage", "X-Business-Use-Case-Usage"
	tests := []struct {
		header, value string
		percent       float64
		later         bool // than the answer before
	}{
		{app, `{"call_count":90}`, 90, true},
		{app, `{"call_count":90}`, 90, true},
		{app, `{"call_count":10}`, 10, true},
		{"", "", 10, false},
		{page, `{"call_count":20}`, 20, true},
		{page, `{"call_count":30}`, 30, true},
		{business, `{"1":[{"call_count":40}]}`, 40, true},
		{business, `{"1":[{"call_count":50}]}`, 50, true},
		{business, `{"1":[]}`, 50, false},
	}
	answered := 0
	success := recorded(t, "success")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if told := tests[answered]; told.header != "" {
			w.Header().Set(told.header, told.value)
		}
		_, _ = io.WriteString(w, success)
	}))
	defer srv.Close()
	now := time.Unix(1_700_000_000, 0)
	c := clientOf(t, graph.Options{BaseURL: srv.URL, Now: func() time.Time { return now }})
	for i, tt := range tests {
		answered = i
		now = now.Add(time.Second)
		before := c.Usage().At
		if err := c.Release(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
		if got := c.Usage(); got.Percent != tt.percent || got.At.After(before) != tt.later {
			t.Errorf("after %s %s: Usage = %+v, want %v%%, later: %t", tt.header, tt.value, got, tt.percent, tt.later)
		}
	}
}
