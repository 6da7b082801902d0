package graph_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher/messenger/graph"
)

// sentinels are all that an error can mean.
var sentinels = []error{
	graph.ErrNotOwner, graph.ErrOutsideWindow, graph.ErrBlocked, graph.ErrRateLimited, graph.ErrTokenDead, graph.ErrTakeRefused,
	graph.ErrBadParameter, graph.ErrPermission, graph.ErrPageRestricted, graph.ErrNoSuchPerson, graph.ErrTransient, graph.ErrUnknownOutcome,
}

// refusals gives every recorded error its meaning.
var refusals = map[string]struct {
	want   error // nil = none
	status int   // 400 by default
	edge   string
}{
	"not_owner":              {want: graph.ErrNotOwner},
	"not_owner_bare_code":    {want: graph.ErrNotOwner},
	"not_owner_bare_subcode": {want: graph.ErrNotOwner},
	"not_owner_calling_app":  {want: graph.ErrNotOwner},
	"not_owner_instagram":    {want: graph.ErrNotOwner},
	"not_owner_words_only":   {want: graph.ErrNotOwner},
	"not_owner_lead_ad":      {want: graph.ErrNotOwner},

	"outside_window":            {want: graph.ErrOutsideWindow},
	"outside_window_old_policy": {want: graph.ErrOutsideWindow},
	"outside_window_instagram":  {want: graph.ErrOutsideWindow},
	"outside_window_words_only": {want: graph.ErrOutsideWindow},

	"blocked":                    {want: graph.ErrBlocked},
	"blocked_551_1545041":        {want: graph.ErrBlocked},
	"blocked_200_1545041":        {want: graph.ErrBlocked, status: 403},
	"blocked_by_customer":        {want: graph.ErrBlocked},
	"too_many_tagged_to_person":  {want: graph.ErrBlocked},
	"marketing_too_soon":         {want: graph.ErrBlocked},
	"marketing_too_many":         {want: graph.ErrBlocked},
	"opt_in_too_often":           {want: graph.ErrBlocked},
	"private_reply_used":         {want: graph.ErrBlocked},
	"private_reply_not_possible": {want: graph.ErrBlocked},
	"private_reply_disabled":     {want: graph.ErrBlocked},
	"comment_deleted":            {want: graph.ErrBlocked},

	"limit_app":             {want: graph.ErrRateLimited, status: 403},
	"limit_user":            {want: graph.ErrRateLimited},
	"limit_page":            {want: graph.ErrRateLimited},
	"limit_pages":           {want: graph.ErrRateLimited},
	"limit_messenger":       {want: graph.ErrRateLimited},
	"limit_calls":           {want: graph.ErrRateLimited},
	"limit_calls_instagram": {want: graph.ErrRateLimited},

	"token_invalid":          {want: graph.ErrTokenDead, status: 401},
	"token_app_removed":      {want: graph.ErrTokenDead},
	"token_password_changed": {want: graph.ErrTokenDead},
	"token_expired":          {want: graph.ErrTokenDead, status: 401},
	"token_revoked":          {want: graph.ErrTokenDead},

	"take_refused": {want: graph.ErrTakeRefused, edge: "take"},

	"bad_parameter":      {want: graph.ErrBadParameter},
	"dead_tag":           {want: graph.ErrBadParameter},
	"media_too_big":      {want: graph.ErrBadParameter},
	"media_not_fetched":  {want: graph.ErrBadParameter},
	"media_wrong_type":   {want: graph.ErrBadParameter},
	"media_bad_id":       {want: graph.ErrBadParameter},
	"media_bad_video":    {want: graph.ErrBadParameter},
	"not_in_this_region": {want: graph.ErrBadParameter},

	"permission_10":            {want: graph.ErrPermission, status: 403},
	"permission_200":           {want: graph.ErrPermission, status: 403},
	"permission_200_2018028":   {want: graph.ErrPermission},
	"permission_200_2018027":   {want: graph.ErrPermission},
	"permission_200_2018021":   {want: graph.ErrPermission},
	"permission_200_2534041":   {want: graph.ErrPermission},
	"permission_230":           {want: graph.ErrPermission},
	"pass_to_unknown_app":      {want: graph.ErrPermission},
	"legacy_receivers_only":    {want: graph.ErrPermission},
	"legacy_primary_only":      {want: graph.ErrPermission},
	"label_terms_not_accepted": {want: graph.ErrPermission},
	"profile_not_allowed":      {want: graph.ErrPermission},

	"restricted_by_policy": {want: graph.ErrPageRestricted},
	"restricted_2022":      {want: graph.ErrPageRestricted},
	"restricted_368":       {want: graph.ErrPageRestricted},
	"restricted_1404170":   {want: graph.ErrPageRestricted},
	"restricted_instagram": {want: graph.ErrPageRestricted},

	"no_such_person": {want: graph.ErrNoSuchPerson},
	"no_such_object": {want: graph.ErrNoSuchPerson},
	"no_profile":     {want: graph.ErrNoSuchPerson},

	"unexpected_internal":      {want: graph.ErrTransient},
	"unknown_error":            {want: graph.ErrTransient, status: 500},
	"unknown_error_99":         {want: graph.ErrTransient, status: 500},
	"service_unavailable":      {want: graph.ErrTransient, status: 503},
	"send_failed_1200":         {want: graph.ErrTransient},
	"unheard_of_but_transient": {want: graph.ErrTransient},
	"batch_reply_bug":          {want: graph.ErrUnknownOutcome},

	"unheard_of":         {},
	"quoted_codes":       {want: graph.ErrNotOwner},
	"error_is_text":      {},
	"error_without_code": {},
}

func TestMeaningOfErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := recorded(t, name)
			c := newClient(t, answer(max(tt.status, 400), body))
			err := call(t, c, tt.edge)
			means(t, err, tt.want)
			var e *graph.Error
			if !errors.As(err, &e) {
				t.Fatalf("error = %T, want *graph.Error", err)
			}
			if e.TraceID != "" && !strings.Contains(body, e.TraceID) || e.TraceID == "" && strings.Contains(body, "fbtrace_id") {
				t.Errorf("TraceID = %q, want that of %s", e.TraceID, body)
			}
		})
	}
}

// Every recorded error has a line in the table.
func TestEveryRecordedErrorIsClassified(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/graph/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if _, ok := refusals[name]; !ok && strings.HasPrefix(string(b), `{"error"`) {
			t.Errorf("%s is an error that no test gives a meaning", name)
		}
	}
}

// An error stays one under HTTP 200, but for what only the status decides.
func TestErrorUnder200(t *testing.T) {
	t.Parallel()
	for name, tt := range refusals {
		want := tt.want
		switch name {
		case "error_is_text", "error_without_code":
			want = graph.ErrUnknownOutcome // neither refused nor confirmed
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			means(t, call(t, newClient(t, answer(200, recorded(t, name))), tt.edge), want)
		})
	}
}

// The numbers 27 and 2018300 mean what they do without a recorded answer, too.
func TestMeaningOfBuiltErrors(t *testing.T) {
	t.Parallel()
	means(t, &graph.Error{Edge: "messages", Code: 10, Subcode: 2018300}, graph.ErrNotOwner)
	means(t, &graph.Error{Edge: "take_thread_control", Code: 27}, graph.ErrTakeRefused)
	means(t, &graph.Error{Edge: "pass_thread_control", Code: 27}, graph.ErrPermission)
	means(t, &graph.Error{Edge: "messages", Code: 299}, graph.ErrPermission)
	means(t, &graph.Error{Edge: "messages", Code: 300, Status: 400}, nil)
	means(t, &graph.Error{Edge: "messages", Code: 3}, graph.ErrPermission)
}

// Some refusals are not of the call, but of all that the Page wants to say.
func TestWholePage(t *testing.T) {
	t.Parallel()
	for name := range refusals {
		stops := strings.HasPrefix(name, "token_") || strings.HasPrefix(name, "restricted_") || strings.HasPrefix(name, "permission_")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e *graph.Error
			if err := call(t, newClient(t, answer(400, recorded(t, name))), refusals[name].edge); !errors.As(err, &e) || e.WholePage() != stops {
				t.Errorf("%v: WholePage() = %v, want %v", err, !stops, stops)
			}
		})
	}
	for _, tt := range []struct {
		err  graph.Error
		want bool
	}{
		{graph.Error{Edge: "messages", Code: 3}, true},
		{graph.Error{Edge: "messages", Code: 2018028}, true}, // Meta sends subcodes also as the code
		{graph.Error{Edge: "messages", Code: 10, Subcode: 2018999}, false},
		{graph.Error{Edge: "profile", Code: 200}, false},
		{graph.Error{Edge: "take_thread_control", Code: 200}, false},
		{graph.Error{Edge: "profile", Code: 190}, true},
		{graph.Error{Edge: "pass_thread_control", Code: 27}, false},
		{graph.Error{Edge: "messages", Status: 403}, false}, // of a machine on the way
		{graph.Error{Edge: "messages", Code: 613}, false},
	} {
		if got := tt.err.WholePage(); got != tt.want {
			t.Errorf("%v: WholePage() = %v, want %v", &tt.err, got, tt.want)
		}
	}
}

// The subcode goes before the code.
func TestSubcodeGoesFirst(t *testing.T) {
	t.Parallel()
	means(t, &graph.Error{Code: 2018300, Subcode: 2018278}, graph.ErrOutsideWindow)
	means(t, &graph.Error{Code: 190, Subcode: 2018278}, graph.ErrOutsideWindow)
}

// Words decide for codes 10 and 100 only.
func TestWordsAreTheLastResort(t *testing.T) {
	t.Parallel()
	const words = "another app is controlling this thread"
	means(t, &graph.Error{Code: 4, Message: words}, graph.ErrRateLimited)
	means(t, &graph.Error{Code: 10, Subcode: 2018278, Message: words}, graph.ErrOutsideWindow)
	means(t, &graph.Error{Code: 100, Subcode: 2018001, Message: words}, graph.ErrNoSuchPerson)
	means(t, &graph.Error{Code: 10, Message: "ANOTHER APP is controlling this thread now"}, graph.ErrNotOwner)
}

// call makes a POST, to take or to send.
func call(t *testing.T, c *graph.Client, edge string) error {
	t.Helper()
	if edge == "take" {
		return c.Take(t.Context(), ada, "")
	}
	_, err := c.Send(t.Context(), ada, graph.Message{Text: "A text of some length, so that it could be quoted"})
	return err
}

// means checks that err means want and nothing else.
func means(t *testing.T, err, want error) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", want)
	}
	for _, s := range sentinels {
		if got := errors.Is(err, s); got != errors.Is(want, s) {
			t.Errorf("errors.Is(%v, %q) = %v, want %v", err, s, got, !got)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	errs := []*graph.Error{
		{Edge: "messages", Status: 400, Code: 10, Subcode: 2018300, Message: "another app is controlling this thread now"},
		{Edge: "messages", Status: 400, Code: 10, Message: "Application does not have permission for this action"},
		{Edge: "take_thread_control", Status: 400, Code: 27, Message: "No."},
		{Edge: "messages", Status: 503},
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, e := range errs {
			if errors.Is(e, graph.ErrBlocked) {
				b.Fatal("nobody is blocked")
			}
		}
	}
}
