package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ServerKind is how Redis is set up.
type ServerKind string

// The kinds of servers, by the scheme of redis.url.
const (
	Single   ServerKind = "redis"
	Sentinel ServerKind = "redis-sentinel"
	Cluster  ServerKind = "redis-cluster"
	Embedded ServerKind = "embedded" // a child process of ours
)

// Server says how Redis is reached.
type Server struct {
	Kind      ServerKind
	Addresses []string // host:port; none when embedded
	Master    string   // sentinel's name for it
	DB        int      // 0 to 15 usually; always 0 in a cluster
	TLS       bool
	Username  string
	Password  Secret
}

// String returns the server as a URL, without credentials.
func (s Server) String() string {
	if s.Kind == Embedded {
		return string(Embedded)
	}
	scheme, path := string(s.Kind), ""
	switch s.Kind {
	case Single:
		path = fmt.Sprintf("/%d", s.DB)
	case Sentinel:
		path = fmt.Sprintf("/%s?db=%d", s.Master, s.DB)
	case Cluster, Embedded:
	}
	if s.TLS {
		scheme = strings.Replace(scheme, "redis", "rediss", 1)
	}
	return scheme + "://" + strings.Join(s.Addresses, ",") + path
}

// errRedisURL never quotes the URL: it may carry a password.
var errRedisURL = errors.New("not the URL of a Redis")

const redisForms = "write redis://HOST:PORT/DB, rediss:// for TLS, redis-sentinel://HOST:PORT,HOST:PORT/MASTER?db=0, redis-cluster://HOST:PORT,HOST:PORT, or embedded"

// parseRedisURL takes a redis.url apart by hand: package url refuses several
// hosts, and quotes what it refuses. rediss- instead of redis- asks for TLS in
// each form.
func parseRedisURL(raw string) (Server, error) {
	if raw == string(Embedded) {
		return Server{Kind: Embedded}, nil
	}
	scheme, rest, found := strings.Cut(raw, "://")
	plain := strings.Replace(scheme, "rediss", "redis", 1)
	s := Server{Kind: ServerKind(plain), TLS: plain != scheme}
	if !found || s.Kind != Single && s.Kind != Sentinel && s.Kind != Cluster {
		return Server{}, fmt.Errorf("%w: unknown form: %s", errRedisURL, redisForms)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, hosts = authority[:at], authority[at+1:]
	}
	var userErr, hostErr, pathErr error
	s.Username, s.Password, userErr = parseUser(user)
	s.Addresses, hostErr = parseHosts(hosts, s.Kind)
	s.Master, s.DB, pathErr = parsePath(path, query, s.Kind)
	return s, cmp.Or(userErr, hostErr, pathErr)
}

func parseUser(user string) (name string, password Secret, err error) {
	name, hidden, _ := strings.Cut(user, ":")
	name, nameErr := url.PathUnescape(name)
	hidden, passwordErr := url.PathUnescape(hidden)
	if nameErr != nil || passwordErr != nil {
		return "", "", fmt.Errorf("%w: write %%25 for a %% in the user or password", errRedisURL)
	}
	return name, Secret(hidden), nil
}

func parseHosts(hosts string, kind ServerKind) (addresses []string, err error) {
	port := "6379"
	if kind == Sentinel {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		if addressComplaint(host) != "" || strings.HasPrefix(host, ":") {
			return nil, fmt.Errorf("%w: a host is missing or its port is no number: %s", errRedisURL, redisForms)
		}
		addresses = append(addresses, host)
	}
	if kind == Single && len(addresses) > 1 {
		return nil, fmt.Errorf("%w: several hosts: %s", errRedisURL, redisForms)
	}
	return addresses, nil
}

// parsePath reads the database, and sentinel's name for the master.
func parsePath(path, query string, kind ServerKind) (master string, db int, err error) {
	options, err := url.ParseQuery(query)
	number := options.Get("db")
	delete(options, "db")
	switch {
	case err != nil || len(options) > 0:
		return "", 0, fmt.Errorf("%w: only db=NUMBER may follow the ?", errRedisURL)
	case kind == Sentinel && (path == "" || strings.Contains(path, "/")):
		return "", 0, fmt.Errorf("%w: name the master that the sentinels watch: redis-sentinel://HOST:PORT/MASTER", errRedisURL)
	case kind == Sentinel:
		master = path
	case path != "" && number != "":
		return "", 0, fmt.Errorf("%w: the database is given twice", errRedisURL)
	case path != "":
		number = path
	}
	if number == "" {
		return master, 0, nil
	}
	switch db, err = strconv.Atoi(number); {
	case err != nil || db < 0:
		return "", 0, fmt.Errorf("%w: the database is not a number from 0: %s", errRedisURL, redisForms)
	case kind == Cluster && db != 0:
		return "", 0, fmt.Errorf("%w: a cluster has database 0 only", errRedisURL)
	}
	return master, db, nil
}
