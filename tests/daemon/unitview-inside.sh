# SPDX-License-Identifier: MIT
# The part of tests/daemon/unitview.test that runs under the real systemd, as root.
. /hk/lib.sh
etc=/etc/systemd/system
run=/run/systemd/system
mkdir -p $etc/odd-one-.service.d $etc/many@.service.d $run/odd-one-two.service.d \
	/usr/lib/systemd/system/service.d
cat >$etc/odd-one-two.service <<'END'
[Service]
Environment=lost=1
Environment=
Environment="A=1 2" 'B=\x41\u00fc' \
	# a comment between the lines of a value
	C=3
Environment=D=4 E=5
EnvironmentFile=-/etc/default/a
EnvironmentFile=/etc/default/b
ExecStart=-/bin/true
ExecStart=
ExecStart=@/bin/sleep zzz 1000
User=nobody
PrivateDevices=on
UnsetEnvironment=F "G=1"
END
printf '[Service]\nEnvironment=E=6 H=7\n' >$etc/odd-one-.service.d/20-a.conf
printf '[Service]\nEnvironment=H=8\nUser=\n' >$run/odd-one-two.service.d/30-a.conf
printf '[Service]\nEnvironment=I=9\n' >/usr/lib/systemd/system/service.d/10-a.conf
ln -s /dev/null $run/odd-one-two.service.d/20-a.conf
ln -s odd-one-two.service $etc/other-name.service
printf '[Service]\nEnvironment=K=%%i L=2\nExecStart=/bin/sleep 1\n' >$etc/many@.service
printf '[Service]\nEnvironment=J=1\n' >$etc/many@.service.d/a.conf
ln -s /dev/null $etc/no-such-thing.service
: >$etc/nothing-in-it.service
systemctl daemon-reload
python3 /hk/unitview.py /hk/unitview odd-one-two.service other-name.service many@some.service \
	no-such-thing.service nothing-in-it.service not-there.service
