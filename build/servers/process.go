package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// process is one running server.
type process struct {
	pid   int
	ended chan struct{}
	err   error // why it ended; read after ended is closed
}

// launch starts argv in a process group of its own, writing to the log of h. The child dies with this process.
func launch(argv []string, h home) (*process, error) {
	log, err := os.OpenFile(h.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig fires when the thread that forked ends
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	p.pid = cmd.Process.Pid
	if err := os.WriteFile(filepath.Join(h.dir, "pid"), []byte(strconv.Itoa(p.pid)), 0o600); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() {
	select {
	case <-p.ended:
	default:
		syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.ended
	}
}
