/* SPDX-License-Identifier: MIT */
/* Names on D-Bus that hakmemd and hakmemctl share. org.hakmem.Hakmem1(5) describes them. */
#ifndef HAK_BUS_NAMES_H
#define HAK_BUS_NAMES_H

#define HAK_BUS_NAME	  "org.hakmem.Hakmem1"
#define HAK_BUS_PATH	  "/org/hakmem/Hakmem1"
#define HAK_BUS_PROCESSES HAK_BUS_PATH "/process"
#define HAK_BUS_MANAGER	  HAK_BUS_NAME ".Manager"
#define HAK_BUS_PROCESS	  HAK_BUS_NAME ".Process"
#define HAK_BUS_TUNABLES  HAK_BUS_NAME ".Tunables"

#define HAK_BUS_ERROR	     HAK_BUS_NAME ".Error."
#define HAK_BUS_NO_PROCESS   HAK_BUS_ERROR "NoSuchProcess"
#define HAK_BUS_NO_TUNABLE   HAK_BUS_ERROR "NoSuchTunable"
#define HAK_BUS_NO_POLICY    HAK_BUS_ERROR "NoSuchPolicy"
#define HAK_BUS_BAD_TARGET   HAK_BUS_ERROR "BadTarget"
#define HAK_BUS_BAD_VALUE    HAK_BUS_ERROR "BadValue"
#define HAK_BUS_BAD_ARGUMENT HAK_BUS_ERROR "BadArgument"
#define HAK_BUS_BAD_FILE     HAK_BUS_ERROR "BadFile"
#define HAK_BUS_LIMIT	     HAK_BUS_ERROR "LimitExceeded"
#define HAK_BUS_UNREADABLE   HAK_BUS_ERROR "Unreadable"
#define HAK_BUS_DENIED	     "org.freedesktop.DBus.Error.AccessDenied"
#define HAK_BUS_WANTS_USER   "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"

#endif
