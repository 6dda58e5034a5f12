"""Reading SQLite exports of NVIDIA Nsight Systems, of any schema from 2020 on."""
