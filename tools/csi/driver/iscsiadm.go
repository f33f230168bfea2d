package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stands in for the node's iscsiadm, iscsid and kernel: a session is a loop device over the array's file for the LUN. The exit codes are open-iscsi's
// (include/iscsi_err.h).
const (
	exitInvalid       = 7
	exitSessionExists = 15
	exitLoginFailed   = 19
	exitNoObjects     = 21
)

// Folders of the array's targets and of the node's records and sessions. A session's file is named after its target.
const (
	arrayTargets = "/lab/array/targets"
	nodeRecords  = "/var/lib/iscsi/nodes"
	nodeSessions = "/run/iscsi"
)

// arrayTarget is a target as described by the array.
type arrayTarget struct {
	IQN  string `json:"iqn"`
	LUN  int    `json:"lun"`
	File string `json:"file"`
}

type session struct {
	Portal string `json:"portal"`
	IQN    string `json:"iqn"`
	Device string `json:"device"`
	Link   string `json:"link"`
	Number int    `json:"number"`
}

type iscsiRequest struct {
	mode, portal, target, op        string
	login, logout, discover, rescan bool
}

func runIscsiadm(args []string) int {
	var wanted iscsiRequest

	values := map[string]*string{
		"-m": &wanted.mode, "--mode": &wanted.mode, "-p": &wanted.portal, "--portal": &wanted.portal,
		"-T": &wanted.target, "--targetname": &wanted.target, "-o": &wanted.op, "--op": &wanted.op,
		"--type": new(string), "-t": new(string), "--name": new(string), "-n": new(string), "--value": new(string), "-v": new(string),
	}
	flags := map[string]*bool{
		"--login": &wanted.login, "-l": &wanted.login, "--logout": &wanted.logout, "-u": &wanted.logout,
		"--discover": &wanted.discover, "-D": &wanted.discover, "-R": &wanted.rescan, "--rescan": &wanted.rescan,
	}

	for index := 0; index < len(args); index++ {
		if flag, known := flags[args[index]]; known {
			*flag = true
		} else if value, known := values[args[index]]; known && index+1 < len(args) {
			index++
			*value = args[index]
		} else {
			fmt.Fprintf(os.Stderr, "iscsiadm: unrecognized option '%s'\n", args[index])

			return exitInvalid
		}
	}

	lock, err := os.Create("/run/iscsiadm.lock")
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX) //nolint:gosec // a descriptor is small
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, "iscsiadm:", err)

		return exitInvalid
	}
	defer lock.Close() //nolint:errcheck

	if wanted.portal != "" && !strings.Contains(wanted.portal, ":") {
		wanted.portal += ":3260"
	}

	switch {
	case wanted.mode == "session":
		return listSessions()
	case wanted.discover:
		return discover(wanted)
	case wanted.login:
		return login(wanted)
	case wanted.logout:
		return logout(wanted)
	case wanted.op == "new":
		return keepRecord(wanted.target, wanted.portal)
	case wanted.op == "delete":
		return deleteRecord(wanted)
	case wanted.op == "update" || wanted.rescan:
		return 0
	}

	return exitInvalid
}

func sessions() []session {
	var list []session

	files, _ := filepath.Glob(nodeSessions + "/*.json") //nolint:errcheck // the pattern is right
	for _, file := range files {
		var one session
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &one) == nil {
			list = append(list, one)
		}
	}

	return list
}

func sessionOf(iqn string) (session, bool) {
	for _, one := range sessions() {
		if one.IQN == iqn {
			return one, true
		}
	}

	return session{}, false
}

func listSessions() int {
	all := sessions()
	if len(all) == 0 {
		fmt.Fprintln(os.Stderr, "iscsiadm: No active sessions.")

		return exitNoObjects
	}

	for _, one := range all {
		fmt.Printf("tcp: [%d] %s,1 %s (non-flash)\n", one.Number, one.Portal, one.IQN)
	}

	return 0
}

func targets() []arrayTarget {
	var list []arrayTarget

	files, _ := filepath.Glob(arrayTargets + "/*.json") //nolint:errcheck // the pattern is right
	for _, file := range files {
		var one arrayTarget
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &one) == nil {
			list = append(list, one)
		}
	}

	return list
}

func record(iqn string) string { return filepath.Join(nodeRecords, strings.ReplaceAll(iqn, "/", "_")) }

func keepRecord(iqn, portal string) int {
	if err := os.WriteFile(record(iqn), []byte(portal), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "iscsiadm:", err)

		return exitInvalid
	}

	return 0
}

func discover(wanted iscsiRequest) int {
	for _, one := range targets() {
		fmt.Printf("%s,1 %s\n", wanted.portal, one.IQN)

		if code := keepRecord(one.IQN, wanted.portal); code != 0 {
			return code
		}
	}

	return 0
}

func deleteRecord(wanted iscsiRequest) int {
	if os.Remove(record(wanted.target)) != nil {
		fmt.Fprintln(os.Stderr, "iscsiadm: No records found")

		return exitNoObjects
	}

	return 0
}

func login(wanted iscsiRequest) int {
	if _, err := os.Stat(record(wanted.target)); err != nil {
		fmt.Fprintln(os.Stderr, "iscsiadm: No records found")

		return exitNoObjects
	}

	if _, there := sessionOf(wanted.target); there {
		fmt.Fprintf(os.Stderr, "iscsiadm: default: 1 session requested, but 1 already present.\niscsiadm: Could not log into all portals\n")

		return exitSessionExists
	}

	for _, one := range targets() {
		if one.IQN != wanted.target {
			continue
		}

		if err := open(one, wanted.portal); err != nil {
			fmt.Fprintln(os.Stderr, "iscsiadm:", err)

			return exitLoginFailed
		}

		fmt.Printf("Login to [iface: default, target: %s, portal: %s] successful.\n", one.IQN, wanted.portal)

		return 0
	}

	fmt.Fprintln(os.Stderr, "iscsiadm: initiator reported error (19 - encountered non-retryable iSCSI login failure)")

	return exitLoginFailed
}

func open(target arrayTarget, portal string) error {
	file, err := os.OpenFile(target.File, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck

	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer control.Close() //nolint:errcheck

	// Another process may take the same free device first.
	for range 20 {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE) //nolint:gosec // a descriptor is small
		if err != nil {
			return err
		}

		device := fmt.Sprintf("/dev/loop%d", number)
		if err = unix.Mknod(device, unix.S_IFBLK|0o660, int(unix.Mkdev(7, uint32(number)))); err != nil && !os.IsExist(err) { //nolint:gosec
			return err
		}

		loop, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			return err
		}

		err = unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_FD, int(file.Fd())) //nolint:gosec // descriptors are small
		loop.Close()                                                             //nolint:errcheck,gosec

		if err == unix.EBUSY { //nolint:errorlint // a bare errno
			continue
		}

		if err != nil {
			return err
		}

		link := fmt.Sprintf("/dev/disk/by-path/ip-%s-iscsi-%s-lun-%d", portal, target.IQN, target.LUN)
		if err = os.Symlink("../../"+filepath.Base(device), link); err != nil {
			return err
		}

		text, err := json.Marshal(session{portal, target.IQN, device, link, number + 1})
		if err != nil {
			return err
		}

		return os.WriteFile(filepath.Join(nodeSessions, filepath.Base(record(target.IQN))+".json"), text, 0o600)
	}

	return fmt.Errorf("no loop device is free")
}

func logout(wanted iscsiRequest) int {
	one, there := sessionOf(wanted.target)
	if !there {
		fmt.Fprintln(os.Stderr, "iscsiadm: No matching sessions found")

		return exitNoObjects
	}

	// Remove the disk even if it is mounted: the kernel releases a loop device with its last user, and nobody can find it by its path anymore.
	if loop, err := os.OpenFile(one.Device, os.O_RDWR, 0); err == nil {
		_ = unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_CLR_FD, 0) //nolint:gosec // a descriptor is small
		loop.Close()                                              //nolint:errcheck,gosec
	}

	_ = os.Remove(one.Link)
	_ = os.Remove(filepath.Join(nodeSessions, filepath.Base(record(one.IQN))+".json"))

	fmt.Printf("Logout of [sid: %d, target: %s, portal: %s] successful.\n", one.Number, one.IQN, one.Portal)

	return 0
}
