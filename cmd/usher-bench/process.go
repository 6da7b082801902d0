package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	osexec "os/exec"
	"syscall"
	"time"
)

// child is a process that we started, in a group of its own: Ctrl-C is ours to
// answer.
type child struct {
	name  string
	cmd   *osexec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when the process has
	code  int           // its exit code then; -1 when killed
}

// start starts a process; each line that it writes goes to line.
func start(name string, env []string, line func(string), path string, args ...string) (*child, error) {
	cmd := osexec.Command(path, args...) //nolint:gosec,noctx // what to run is the operator's choice; who started it ends it
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	outliveNobody(cmd.SysProcAttr)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			line(scan.Text())
		}
		_, _ = io.Copy(io.Discard, out) // an endless line must not block it
	}()
	go func() {
		_ = cmd.Wait() // the exit code tells
		_ = in.Close()
		<-read
		c.code = cmd.ProcessState.ExitCode()
		close(c.ended)
	}()
	return c, nil
}

// running tells whether the process has not ended.
func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal to the whole group. Who has ended needs none.
func (c *child) signal(sig syscall.Signal) error {
	err := syscall.Kill(-c.cmd.Process.Pid, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%v to %s: %w", sig, c.name, err)
	}
	return nil
}

// end ends the process by a signal, which is sent again every second, and waits for its
// end: Redis does not heed SIGTERM while it writes the file of what it has just been
// sent by its primary. Who does not end within patience is killed.
func (c *child) end(sig syscall.Signal, patience time.Duration) error {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for until := now().Add(patience); now().Before(until); {
		if err := c.signal(sig); err != nil {
			return err
		}
		select {
		case <-c.ended:
			return nil
		case <-again.C:
		}
	}
	return c.kill()
}

// kill ends the process at once, also one that is stopped, and waits for its end.
func (c *child) kill() error {
	err := c.signal(syscall.SIGKILL)
	if err == nil {
		<-c.ended
	}
	return err
}

// terminate asks the process to end, and returns how long that took. One that
// does not within patience is killed.
func (c *child) terminate(patience time.Duration) (time.Duration, error) {
	began := now()
	if err := c.signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		if err := c.kill(); err != nil {
			return 0, err
		}
	}
	return now().Sub(began), nil
}
