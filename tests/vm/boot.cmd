# SPDX-License-Identifier: Apache-2.0
# U-Boot runs this at every boot. Its variables are shared with fw_printenv and fw_setenv of the vehicle: while
# upgrade_available is 1, each boot is counted before it is tried, and the fourth one is that of the software before.
# They lie in front of the first partition (0x20 blocks from 0x80), as on real boards: of what changes there all is in one
# block, which a power cut leaves whole. A file is not safe from one: U-Boot removes it before it writes it anew.
# loader/uEnv.txt is written by libostree: the deployments in their order, the second one's variables end with 2.
setenv part "${devtype} ${devnum}:${distro_bootpart}"
setenv shared "bootcount upgrade_available rollback"
virtio read 0x4000000 0x80 0x20
env import -c 0x4000000 0x4000 ${shared}

if test "${upgrade_available}" = 1; then
	setenv tries 1
	if test "${bootcount}" = 1; then setenv tries 2; fi
	if test "${bootcount}" = 2; then setenv tries 3; fi
	if test "${bootcount}" = 3; then
		setenv tries 3
		setenv rollback 1
	fi
	setenv bootcount ${tries}
	env export -c -s 0x4000 0x4000000 ${shared}
	virtio write 0x4000000 0x80 0x20
fi

load ${part} 0x4000000 /loader/uEnv.txt
env import -t 0x4000000 ${filesize}
if test "${rollback}" = 1 && test -n "${kernel_image2}"; then
	setenv kernel_image ${kernel_image2}
	setenv ramdisk_image ${ramdisk_image2}
	setenv bootargs "${bootargs2}"
fi
setenv bootargs "${bootargs} uboot.bootcount=${bootcount} uboot.upgrade_available=${upgrade_available} uboot.rollback=${rollback}"
echo "boot.cmd: bootcount=${bootcount} upgrade_available=${upgrade_available} rollback=${rollback}"
load ${part} 0x2000000 ${kernel_image}
load ${part} 0x6000000 ${ramdisk_image}
zboot 0x2000000 0 0x6000000 ${filesize}
