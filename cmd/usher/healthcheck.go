package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"usher/config"
)

// healthTimeout bounds the question: orchestrators give up soon after.
const healthTimeout = 2500 * time.Millisecond

// healthcheckCommand is `usher healthcheck`.
func (p *program) healthcheckCommand() *cobra.Command {
	var file, address string
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the running service whether it is well",
		Long: `Asks /healthz of the service that runs on this machine, at the port of listen in
the settings. It is made for containers without a shell: exit code 0 is well, 1
is not.`,
		Example: `  usher healthcheck
  usher healthcheck --url http://127.0.0.1:8080/readyz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if address == "" {
				var err error
				if address, err = p.healthURL(file, cmd.Flags().Changed("config")); err != nil {
					return err
				}
			}
			return healthy(cmd.Context(), address)
		},
	}
	configFlag(c, &file)
	c.Flags().StringVar(&address, "url", "", "ask this URL instead")
	return c
}

var (
	errUnwell  = errors.New("not healthy")
	errNoPort  = errors.New("listen names no port to ask at: use --url")
	errNoCheck = errors.New("cannot tell where the service listens")
)

// healthURL returns where the service is asked. Of the settings only listen
// matters: a service that runs has read them all. A file need not be there unless
// it was asked for.
func (p *program) healthURL(file string, asked bool) (string, error) {
	cfg, err := config.Load(file, p.env)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		cfg, err = config.Load("", p.env)
	}
	if _, faulty := errors.AsType[*config.FaultError](err); err != nil && !faulty {
		return "", fmt.Errorf("%w: %w; use --url", errNoCheck, err)
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil || port == "0" {
		return "", errNoPort
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/healthz"}
	return u.String(), nil
}

// healthy returns nil if a GET of address is answered 200.
func healthy(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("%w: --url: %w", errUnwell, err)
	}
	// No proxy from the environment: this stays on the machine.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnwell, err)
	}
	defer res.Body.Close() //nolint:errcheck // read
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // what there is of a reason
		return fmt.Errorf("%w: %s answered %s: %s", errUnwell, address, res.Status, body)
	}
	return nil
}
